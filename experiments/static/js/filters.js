// Filters act as soon as one is chosen with a pointer; with the keyboard, where each arrow key is a
// choice, the button does it. Empty fields and days that are not asked for stay out of the address.
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
  // Back to this page: a browser may bring the form as it was left.
  addEventListener("pageshow", () => {
    for (const field of form?.elements ?? []) field.disabled = false;
    showDays();
  });
}
