// On every page: shows <time datetime="…Z"> in the reader's time zone (the exact UTC value stays
// in the title), and on a phone scrolls the current navigation entry into view.
"use strict";
{
  const two = (number) => String(number).padStart(2, "0");
  const localize = (within) => {
    for (const time of within.querySelectorAll("time[datetime*='T']")) {
      const at = new Date(time.dateTime);
      if (Number.isNaN(at.getTime())) continue;
      time.title = time.dateTime;
      time.textContent = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ` +
        `${two(at.getHours())}:${two(at.getMinutes())}${"seconds" in time.dataset ? `:${two(at.getSeconds())}` : ""}`;
    }
  };
  document.addEventListener("switchyard:refresh", (event) => localize(event.target));
  localize(document);
  document.querySelector(".rail-pages [aria-current]")?.scrollIntoView({ inline: "center", block: "nearest" });
}
