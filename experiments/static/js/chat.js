// The chat: streams /v1/chat/completions with the session's CSRF token, shows the model and the
// cost, loads the explanation on demand, and sends thumbs as ratings. The page stores nothing and
// never holds an API key.
"use strict";
{
  const form = document.querySelector("[data-chat]");
  const place = document.querySelector("[data-conversation]");
  const text = form.querySelector("[data-text]");
  const send = form.querySelector("[data-send]");
  const stop = form.querySelector("[data-stop]");
  const fresh = form.querySelector("[data-new]");
  const token = form.querySelector("[name=csrfmiddlewaretoken]").value;
  const placeholder = "00000000-0000-0000-0000-000000000000";
  let messages = [];
  let session = crypto.getRandomValues(new Uint32Array(2)).join("-");
  let running = null;

  const turn = (kind) => {
    const made = document.querySelector(`template[data-${kind}]`).content.cloneNode(true).firstElementChild;
    place.append(made);
    return made;
  };
  const part = (of, name) => of.querySelector(`[data-${name}]`);
  const show = (element, text) => { element.textContent = text; element.hidden = false; };
  const dollars = (amount) => {
    const value = Number(amount);
    const digits = Math.abs(value) >= 1 || value === 0 ? 2 : Math.min(6, 1 - Math.floor(Math.log10(Math.abs(value))));
    return `$${value.toFixed(digits)}`;
  };

  // The events of a stream, one by one.
  const events = async function* (body) {
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const lines = (rest + value).split("\n");
      rest = lines.pop();
      for (const line of lines) {
        if (line.startsWith("data: ") && line !== "data: [DONE]") yield JSON.parse(line.slice(6));
      }
    }
  };

  const ask = async (answer) => {
    const response = await fetch(form.dataset.address, {
      method: "POST", redirect: "error", signal: running.signal,
      headers: {
        "Content-Type": "application/json", "X-CSRFToken": token, "X-Session-Id": `chat-${session}`,
        "X-Switchyard-Explain": "1",
      },
      body: JSON.stringify({
        model: form.elements.model.value, messages, stream: true, metadata: { from: "chat page" },
      }),
    });
    const decision = response.headers.get("x-switchyard-decision-id");
    if (!response.ok) {
      const body = await response.json().catch(() => ({}));
      throw new Error(body.error?.message ?? `The server answered ${response.status}.`);
    }
    const model = response.headers.get("x-switchyard-model");
    part(answer, "who").textContent = model;
    offer(answer, decision);
    let words = "";
    for await (const event of events(response.body)) {
      if (event.error) throw new Error(event.error.message);
      words += event.choices?.[0]?.delta?.content ?? "";
      part(answer, "words").textContent = words;
      if (event.switchyard) explain(answer, event.switchyard);
    }
    messages.push({ role: "assistant", content: words });
    part(answer, "rating").hidden = false;
    if (!words) show(part(answer, "problem"), "The model returned an empty answer.");
  };

  const explain = (answer, how) => {
    const { decision, cost } = how;
    answer.dataset.tier = decision.model === how.answered_by ? decision.tier : "";
    const facts = [`${decision.domain.name}, ${decision.method.replaceAll("_", " ")}`];
    if (decision.router?.score != null && decision.router.threshold != null) {
      const { score, threshold } = decision.router;
      facts.push(`score ${score.toFixed(3)} ${score >= threshold ? "≥" : "<"} ${threshold.toFixed(3)}`);
    }
    if (how.answered_by !== decision.model) facts.push(`fallback for ${decision.model}, which did not answer`);
    facts.push(cost.actual == null ? "no price" : `cost ${dollars(cost.actual)}`);
    if (cost.saving != null) {
      const saved = Number(cost.saving), against = decision.cost.baseline_model;
      if (!saved) facts.push(`the same cost as ${against}`);
      else if (saved > 0) facts.push(`saved ${dollars(saved)} against ${against}`);
      else facts.push(`${dollars(-saved)} more than ${against}`);
    }
    show(part(answer, "facts"), facts.join(" · "));
  };

  const offer = (answer, decision) => {
    const box = part(answer, "why-box");
    box.hidden = false;
    box.addEventListener("toggle", async () => {
      if (!box.open) return;
      const place = part(answer, "why-text");
      try {
        const found = await fetch(form.dataset.why.replace(placeholder, decision), { redirect: "error" });
        place.innerHTML = await found.text(); // our own template, which escapes
      } catch {
        place.textContent = "The server could not be reached. Close this and open it again.";
      }
    });
    for (const button of answer.querySelectorAll("[data-rate-as]")) {
      button.addEventListener("click", () => rate(answer, decision, button));
    }
  };

  const rate = async (answer, decision, button) => {
    const status = part(answer, "rated");
    try {
      const response = await fetch(form.dataset.rate.replace(placeholder, decision), {
        method: "POST", redirect: "error", headers: { "X-CSRFToken": token },
        body: new URLSearchParams({ rating: button.dataset.rateAs }),
      });
      if (!response.ok) throw new Error((await response.text()).slice(0, 300));
      for (const other of answer.querySelectorAll("[data-rate-as]")) {
        other.setAttribute("aria-pressed", String(other === button));
      }
      status.textContent = "Saved as a quality rating.";
    } catch (error) {
      status.textContent = error instanceof TypeError ? "The server could not be reached. Try again." : error.message;
    }
  };

  const busy = (is) => {
    place.setAttribute("aria-busy", String(is));
    send.disabled = is;
    stop.hidden = !is;
    fresh.hidden = is || !messages.length;
  };

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const words = text.value.trim();
    if (!words || running) return;
    const before = messages.length;
    messages.push({ role: "user", content: words });
    part(turn("asked"), "words").textContent = words;
    const answer = turn("answered");
    text.value = "";
    running = new AbortController();
    busy(true);
    answer.scrollIntoView({ block: "nearest" });
    try {
      await ask(answer);
    } catch (error) {
      messages.length = before; // the next request does not repeat an unanswered message
      const stopped = error.name === "AbortError";
      const lost = error instanceof TypeError ? "The server could not be reached. Try again." : error.message;
      show(part(answer, "problem"), stopped ? "Stopped." : lost);
      if (part(answer, "who").textContent === "…") part(answer, "who").textContent = "No answer";
      if (!text.value) text.value = stopped ? "" : words;
    }
    running = null;
    busy(false);
    answer.scrollIntoView({ block: "nearest" });
    text.focus();
  });
  stop.addEventListener("click", () => running?.abort());
  fresh.addEventListener("click", () => {
    messages = [];
    session = crypto.getRandomValues(new Uint32Array(2)).join("-");
    place.replaceChildren();
    busy(false);
    text.focus();
  });
  text.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    form.requestSubmit();
  });
}
