// The slider under the curve of all thresholds: moves the candidate's mark along it and shows the
// estimate there. The server sends one entry for each threshold.
"use strict";
{
  const panel = document.querySelector("[data-what-if]");
  const figure = panel?.querySelector("figure[data-chart]");
  const input = panel?.querySelector("[data-what-if-input]");
  const sentence = panel?.querySelector("[data-what-if-sentence]");
  const link = panel?.querySelector("[data-what-if-link]");
  const moves = JSON.parse(document.getElementById("what-if-moves").textContent);
  const source = document.getElementById(figure.dataset.chart);
  const CHOSEN = 2;
  let waiting = false;

  const move = () => {
    waiting = false;
    const { x, y, sentence: text, href } = moves[Number(input.value)];
    const chart = JSON.parse(source.textContent);
    chart.data[CHOSEN].x = [x];
    chart.data[CHOSEN].y = [y];
    source.textContent = JSON.stringify(chart);
    panel.dispatchEvent(new CustomEvent("switchyard:refresh", { bubbles: true }));
    sentence.textContent = text;
    link.href = href;
  };
  input?.addEventListener("input", () => {
    if (!waiting) requestAnimationFrame(move);
    waiting = true;
  });
}
