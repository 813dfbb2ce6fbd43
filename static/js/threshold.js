// The slider under the histogram of scores: moves the threshold's line, colours the bars by it and
// says what it would do. The sentences come from the server, one for each hundredth.
"use strict";
{
  const panel = document.querySelector("[data-threshold]");
  const figure = panel?.querySelector("figure[data-chart]");
  const input = panel?.querySelector("[data-threshold-input]");
  const output = panel?.querySelector("[data-threshold-value]");
  const sentence = figure?.querySelector(".sentence");
  const moves = JSON.parse(document.getElementById("threshold-moves").textContent);
  const source = document.getElementById(figure.dataset.chart);
  let waiting = false;

  const side = (trace, bins) => {
    trace.x = bins.map(([low, high]) => (low + high) / 2);
    trace.y = bins.map(([, , decisions]) => decisions);
    trace.width = bins.map(([low, high]) => (high - low) * 0.92);
    trace.customdata = bins.map(([low, high]) => [low, high]);
  };
  const move = () => {
    waiting = false;
    const threshold = Number(input.value);
    const chart = JSON.parse(source.textContent);
    const [weak, strong] = chart.data;
    side(weak, moves.bins.filter(([low]) => low < threshold));
    side(strong, moves.bins.filter(([low]) => low >= threshold));
    const line = chart.layout.shapes.find((shape) => shape.name === "threshold");
    line.x0 = line.x1 = threshold;
    line.label.text = `threshold ${threshold.toFixed(2)}`;
    source.textContent = JSON.stringify(chart);
    figure.parentElement.dispatchEvent(new CustomEvent("switchyard:refresh", { bubbles: true }));
    output.value = threshold.toFixed(2);
    sentence.textContent = moves.sentences[Math.round(threshold * 100)];
  };
  input?.addEventListener("input", () => {
    if (!waiting) requestAnimationFrame(move);
    waiting = true;
  });
}
