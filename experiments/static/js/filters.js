// A filter applies when it is chosen with a pointer. With the keyboard, where each arrow key is a
// choice, the button applies it. Empty fields and unused days stay out of the address.
"use strict";
{
  const form = document.querySelector("[data-filters]");
  const days = form ? [...form.querySelectorAll("[data-own-days]")] : [];
  const range = form?.querySelector("[data-range]");
  const own = () => range?.value === "custom";

  const showDays = () => {
    for (const label of days) {
      label.hidden = !own();
      label.querySelector("input").disabled = !own();
    }
  };
  const complete = () => !own() || days.every((label) => label.querySelector("input").value);

  let pointed = false;
  form?.addEventListener("pointerdown", () => { pointed = true; });
  form?.addEventListener("keydown", () => { pointed = false; });
  form?.addEventListener("change", (event) => {
    if (event.target === range) showDays();
    if (pointed && event.target.localName === "select" && complete()) form.requestSubmit();
  });
  form?.addEventListener("submit", () => {
    for (const field of form.elements) if (field.name && !field.value) field.disabled = true;
  });
  // After "back" a browser may restore the form in its old state.
  addEventListener("pageshow", () => {
    for (const field of form?.elements ?? []) field.disabled = false;
    showDays();
  });
}
