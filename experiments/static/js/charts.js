// Draws every <figure data-chart="id"> from the JSON of that id: {data, layout} as Plotly takes it.
// Colours arrive as var(--token) and are looked up here, so a chart follows the theme; times
// arrive as UTC and are shown in the reader's zone; "{zone}" in a title becomes its name.
"use strict";
{
  const utc = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|\+00:00)$/;
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const two = (number) => String(number).padStart(2, "0");
  const local = (text) => {
    const at = new Date(text);
    return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ` +
      `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
  };

  const lookUp = (probe) => {
    const known = new Map();
    return (token) => {
      if (!known.has(token)) {
        probe.style.color = token;
        known.set(token, getComputedStyle(probe).color);
      }
      return known.get(token);
    };
  };
  const resolved = (value, colour) => {
    if (typeof value === "string") {
      if (value.startsWith("var(--")) return colour(value);
      return utc.test(value) ? local(value) : value.replaceAll("{zone}", zone);
    }
    if (Array.isArray(value)) return value.map((item) => resolved(item, colour));
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, resolved(item, colour)]));
  };
  const prepared = (figure) => {
    const plot = figure.querySelector(".chart-plot");
    const source = JSON.parse(document.getElementById(figure.dataset.chart).textContent);
    const probe = plot.parentElement.appendChild(document.createElement("span"));
    const chart = resolved(source, lookUp(probe));
    chart.layout.font = { ...chart.layout.font, family: getComputedStyle(probe).fontFamily };
    probe.remove();
    return { plot, chart };
  };
  const config = { displayModeBar: false, displaylogo: false, responsive: true, scrollZoom: false };

  const draw = (figure) => {
    const { plot, chart } = prepared(figure);
    return window.Plotly.react(plot, chart.data, chart.layout, config);
  };
  const drawAll = (within = document) => {
    for (const figure of within.querySelectorAll("figure[data-chart]")) {
      if (window.Plotly) draw(figure);
      else figure.querySelector(".chart-plot").textContent =
        "The chart could not be drawn because its script did not load. The numbers below are complete. Reload the page to try again.";
    }
  };

  const save = (blob, name) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  };
  const savePicture = async (figure) => {
    const { plot, chart } = prepared(figure);
    const title = { text: figure.dataset.title || "", x: 0.02, xanchor: "left", font: { size: 16 } };
    const { l = 8, r = 12, t = 36, b = 8 } = chart.layout.margin ?? {};
    const margin = { l: l + 16, r: r + 16, t: t + 40, b: b + 16 };
    const paper = getComputedStyle(document.body).backgroundColor;
    const layout = { ...chart.layout, title, margin, paper_bgcolor: paper, width: 1000, height: Math.max(plot.clientHeight, 420) };
    const address = await window.Plotly.toImage({ data: chart.data, layout }, { format: "png", scale: 2, width: 1000, height: layout.height });
    const bytes = Uint8Array.from(atob(address.split(",")[1]), (letter) => letter.charCodeAt(0));
    save(new Blob([bytes], { type: "image/png" }), `${figure.dataset.chart}.png`);
  };

  // The table under a chart holds the exact values: <time datetime> in UTC, <data value>.
  const exact = (cell) => {
    const marked = cell.querySelector("time[datetime], data[value]");
    const text = marked ? marked.getAttribute(marked.localName === "time" ? "datetime" : "value")
      : cell.textContent.trim().replace(/\s+/g, " ");
    // A spreadsheet would run text that begins like a formula.
    const safe = /^[=+\-@\t]/.test(text) && Number.isNaN(Number(text)) ? `'${text}` : text;
    return /[",\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  };
  const saveTable = (figure) => {
    const rows = [...figure.querySelectorAll("table tr")];
    const lines = rows.map((row) => [...row.cells].map(exact).join(","));
    save(new Blob([lines.join("\r\n"), "\r\n"], { type: "text/csv" }), `${figure.dataset.chart}.csv`);
  };

  document.addEventListener("click", (event) => {
    const figure = event.target.closest("figure[data-chart]");
    if (!figure) return;
    if (event.target.closest("[data-chart-png]")) savePicture(figure);
    if (event.target.closest("[data-chart-csv]")) saveTable(figure);
  });
  document.addEventListener("switchyard:refresh", (event) => drawAll(event.target));
  new MutationObserver(() => drawAll()).observe(document.documentElement, { attributeFilter: ["data-theme"] });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => drawAll());

  // On paper a chart is the screen's picture, as wide as its column there (css/base.css).
  const scalable = (on) => {
    for (const plot of document.querySelectorAll(".chart-plot")) {
      for (const picture of plot.querySelectorAll(".main-svg")) {
        const size = ["width", "height"].map((side) => picture.getAttribute(side));
        if (on) picture.setAttribute("viewBox", `0 0 ${size.join(" ")}`);
        else picture.removeAttribute("viewBox");
        plot.style.aspectRatio = on ? size.join(" / ") : "";
      }
    }
  };
  let shown;
  addEventListener("beforeprint", () => {
    shown = document.documentElement.dataset.theme;
    document.documentElement.dataset.theme = "light";
    drawAll();
    scalable(true);
  });
  addEventListener("afterprint", () => {
    scalable(false);
    if (shown) document.documentElement.dataset.theme = shown;
    else delete document.documentElement.dataset.theme;
  });
  drawAll(); // the script is deferred: the page is there
}
