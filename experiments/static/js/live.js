// Live refresh: <main data-live="30"> fetches the page every 30 seconds and replaces each
// [data-live-region] by the new one with the same id. The server omits data-live when the date
// range has ended, because nothing new can arrive. A button [data-live-switch] pauses it.
"use strict";
{
  const main = document.querySelector("[data-live]");
  const button = document.querySelector("[data-live-switch]");
  let paused = sessionStorage.getItem("live") === "paused";

  const label = (text) => {
    if (!button) return;
    button.textContent = text;
    button.setAttribute("aria-pressed", String(!paused));
  };
  const rest = () => label(paused ? "Live is paused" : `Live, every ${main.dataset.live} s`);
  const busy = (region) => document.hidden || region.contains(document.activeElement);

  const replace = (region, fresh) => {
    const open = [...region.querySelectorAll("details[open][id]")].map((one) => one.id);
    for (const plot of region.querySelectorAll(".js-plotly-plot")) window.Plotly?.purge(plot);
    region.replaceChildren(...fresh.childNodes);
    for (const id of open) document.getElementById(id)?.setAttribute("open", "");
    region.dispatchEvent(new CustomEvent("switchyard:refresh", { bubbles: true }));
  };
  const refresh = async () => {
    if (paused) return;
    const answer = await fetch(location.href, { headers: { "X-Live": "1" } });
    if (!answer.ok || answer.redirected) throw new Error(String(answer.status));
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const region of document.querySelectorAll("[data-live-region]")) {
      const twin = fresh.getElementById(region.id);
      if (twin && !busy(region)) replace(region, twin);
    }
    rest();
  };

  if (main) {
    rest();
    button?.addEventListener("click", () => {
      paused = !paused;
      sessionStorage.setItem("live", paused ? "paused" : "on");
      rest();
      refresh().catch(() => label("Connection lost; trying again"));
    });
    setInterval(
      () => refresh().catch(() => label("Connection lost; trying again")),
      1000 * Math.max(5, Number(main.dataset.live)),
    );
  }
}
