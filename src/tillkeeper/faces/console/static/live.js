// Live figures. Every page works without this file; with it, parts of the overview are replaced as the server sends them.
"use strict";
document.documentElement.classList.add("scripted");

// What was done is heard once: the word about it has the focus, and goes with the next load of the page.
(function () {
  const said = document.querySelector("[data-notice]");
  if (!said) return;
  said.focus({ preventScroll: true });
  const here = new URL(location.href);
  here.searchParams.delete("notice");
  history.replaceState(null, "", here);
})();

// One box for all of its kind.
document.addEventListener("change", function (event) {
  const name = event.target.dataset.all;
  if (name) for (const each of event.target.form.querySelectorAll('[name="' + name + '"]')) each.checked = event.target.checked;
});

// A form is sent once, however often its button is pressed, until the next page comes or ten seconds are over.
document.addEventListener("submit", function (event) {
  const form = event.target;
  if (event.defaultPrevented || form.getAttribute("method") !== "post") return;
  if (form.dataset.sent) { event.preventDefault(); return; }
  form.dataset.sent = "1";
  setTimeout(function () { delete form.dataset.sent; }, 10000);
});

(function () {
  const box = document.querySelector("[data-stream]");
  if (!box) return;
  const root = document.documentElement;
  const STALE_MS = 6000;
  let source = null, timer = 0;

  function heard() {
    root.classList.remove("stale");
    root.classList.add("streaming");
    box.removeAttribute("title");
    clearTimeout(timer);
    timer = setTimeout(silent, STALE_MS);
  }

  function silent() {
    root.classList.remove("streaming");
    root.classList.add("stale");
    box.title = box.dataset.stale;
  }

  // A part somebody works in (focus inside, text being selected) keeps still until they leave it.
  function busy(part) {
    const chosen = document.getSelection();
    return part.contains(document.activeElement) || (chosen && !chosen.isCollapsed && part.contains(chosen.anchorNode));
  }

  function start() {
    source = new EventSource(box.dataset.stream);
    for (const part of document.querySelectorAll("[data-live]"))
      source.addEventListener(part.dataset.live, function (event) {
        heard();
        if (!busy(part)) part.innerHTML = JSON.parse(event.data);
      });
    source.addEventListener("ended", function () { location.reload(); });
    timer = setTimeout(silent, STALE_MS);
  }

  function stop() {
    source.close();
    source = null;
    clearTimeout(timer);
    root.classList.remove("streaming", "stale");
  }

  const button = document.querySelector("[data-pause]");
  button.addEventListener("click", function () {
    if (source) stop(); else start();
    const other = button.dataset.pause;
    button.dataset.pause = button.textContent;
    button.textContent = other;
  });
  // A page in the background, or kept for the way back, holds no connection.
  document.addEventListener("visibilitychange", function () {
    if (document.hidden && source) { stop(); box.dataset.resume = "1"; }
    else if (!document.hidden && box.dataset.resume) { delete box.dataset.resume; start(); }
  });
  start();
})();
