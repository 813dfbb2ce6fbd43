// The playground without reloading: Enter in the prompt, or another choice, posts the form and
// shows the result below. Without this script the form loads a new page.
"use strict";
{
  const form = document.querySelector("[data-playground]");
  const prompt = form.querySelector("[data-prompt]");
  const place = document.getElementById("tried");
  let latest = 0;

  const fit = () => {
    for (const choice of form.querySelectorAll("[data-policy]")) {
      const name = choice.dataset.policy;
      form.querySelector(`[data-threshold-of="${name}"]`).hidden = choice.value !== "threshold";
      form.querySelector(`[data-domain-of="${name}"]`).hidden = choice.value === "nothing";
    }
  };
  const ask = async () => {
    if (!prompt.value.trim()) return;
    const turn = ++latest;
    place.setAttribute("aria-busy", "true");
    let html = `<p class="notice notice-worse">The server could not be reached. Try again.</p>`;
    try {
      const answer = await fetch(form.action, {
        method: "POST", body: new FormData(form), headers: { "X-Partial": "1" }, redirect: "error",
      });
      if (answer.ok) html = await answer.text();
    } catch { /* keep the message above */ }
    if (turn !== latest) return; // a newer request is running
    place.innerHTML = html;
    place.setAttribute("aria-busy", "false");
    form.querySelector("[data-examples]")?.remove();
  };

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (event.submitter?.name === "example") prompt.value = event.submitter.value;
    ask();
  });
  form.addEventListener("change", (event) => {
    fit();
    if (event.target !== prompt) ask();
  });
  prompt.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    form.requestSubmit();
  });
  fit();
}
