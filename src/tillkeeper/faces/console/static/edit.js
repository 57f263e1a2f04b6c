// The rule editor: line numbers that follow the text, and faults that lead to their line. The page works without this file.
"use strict";

(function () {
  const text = document.querySelector("[data-lines] textarea"), numbers = document.querySelector("[data-lines] .numbers");
  if (!text) return;

  function count() {
    const lines = text.value.split("\n").length;
    if (numbers.childElementCount !== lines) {
      while (numbers.childElementCount > lines) numbers.lastElementChild.remove();
      while (numbers.childElementCount < lines) numbers.append(document.createElement("span"));
    }
    numbers.scrollTop = text.scrollTop;
  }

  function lead(line) {
    const lines = text.value.split("\n"), before = lines.slice(0, line - 1).join("\n").length + (line > 1 ? 1 : 0);
    text.focus();
    text.setSelectionRange(before, before + (lines[line - 1] || "").length);
    text.scrollTop = Math.max(0, (line - 5) * parseFloat(getComputedStyle(text).lineHeight));
  }

  text.addEventListener("input", count);
  text.addEventListener("scroll", function () { numbers.scrollTop = text.scrollTop; });
  document.addEventListener("click", function (event) {
    const link = event.target.closest("[data-line]");
    if (!link) return;
    event.preventDefault();
    lead(Number(link.dataset.line));
  });
  // A text that was changed and not sent is not lost by a wrong click.
  let sent = false;
  const first = text.defaultValue;
  text.form.addEventListener("submit", function () { sent = true; });
  window.addEventListener("beforeunload", function (event) { if (!sent && text.value !== first) event.preventDefault(); });
  count();
})();
