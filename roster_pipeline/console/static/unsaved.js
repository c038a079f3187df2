// Warns before a form with changes that were not saved is left, also by sending another form. data-unsaved="yes": it came back with errors, so it has some.
(function () {
  "use strict";
  const changed = new Set();
  let sending = false;
  function note(event) {
    const form = event.target.closest("form[data-unsaved]");
    if (form && event.target.name) changed.add(form);
  }
  document.addEventListener("DOMContentLoaded", function () {
    document.querySelectorAll('form[data-unsaved="yes"]').forEach(function (form) { changed.add(form); });
  });
  document.addEventListener("input", note);
  document.addEventListener("change", note);
  document.addEventListener("submit", function (event) {
    if (!event.defaultPrevented) sending = Array.from(changed).every(function (form) { return form === event.target; });
  });
  window.addEventListener("pageshow", function () { sending = false; });
  window.addEventListener("beforeunload", function (event) {
    if (changed.size && !sending) event.preventDefault();
  });
})();
