// The slider under the histogram of scores: moves the threshold's line, colours the bars by it and
// shows its effect. The server sends one summary for each hundredth.
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

  // A bin that the threshold cuts is cut in the picture (experiments/dashboards/figures.py).
  const GAP = 0.08;
  const side = (trace, start, end) => {
    const bars = moves.bins.map(([low, high, decisions]) => {
      const gap = ((high - low) * GAP) / 2;
      return { bin: [low, high], decisions, left: Math.max(low + gap, start), right: Math.min(high - gap, end) };
    }).filter(({ left, right }) => left < right);
    trace.x = bars.map(({ left, right }) => (left + right) / 2);
    trace.y = bars.map(({ decisions }) => decisions);
    trace.width = bars.map(({ left, right }) => right - left);
    trace.customdata = bars.map(({ bin }) => bin);
  };
  const move = () => {
    waiting = false;
    const threshold = Number(input.value);
    const chart = JSON.parse(source.textContent);
    const [weak, strong] = chart.data;
    side(weak, -Infinity, threshold);
    side(strong, threshold, Infinity);
    const line = chart.layout.shapes.find((shape) => shape.name === "threshold");
    line.x0 = line.x1 = threshold;
    line.label.xanchor = threshold < 0.85 ? "left" : "right";
    line.label.text = `threshold ${threshold.toFixed(2)}`;
    source.textContent = JSON.stringify(chart);
    figure.parentElement.dispatchEvent(new CustomEvent("switchyard:refresh", { bubbles: true }));
    output.value = threshold.toFixed(2);
    sentence.textContent = moves.summaries[Math.round(threshold * 100)];
  };
  input?.addEventListener("input", () => {
    if (!waiting) requestAnimationFrame(move);
    waiting = true;
  });
}
