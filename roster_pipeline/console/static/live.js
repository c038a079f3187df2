// Pages that follow a test or a run: htmx asks every second for what is new. Here is what it leaves to do.
(function () {
  "use strict";
  function polls(event) {
    return event.detail.requestConfig.elt.matches('[hx-trigger^="every"]');
  }
  // A test has ended: fields that its remedies name are unfolded, and its button is the one to press.
  document.addEventListener("htmx:load", function (event) {
    const state = event.detail.elt.closest("#test-state");
    if (!state) return;
    state.querySelectorAll("[data-unfold]").forEach(function (link) {
      const field = document.getElementById(link.hash.slice(1));
      const folded = field && field.closest("details");
      if (folded) folded.open = true;
    });
    if (!state.querySelector(".primary")) return;
    document.querySelectorAll("main .primary").forEach(function (it) { if (!state.contains(it)) it.classList.remove("primary"); });
  });
  // What is followed cannot be asked: it is asked again while the console is away, and the page says if it is gone.
  document.addEventListener("htmx:beforeSwap", function (event) {
    const status = event.detail.xhr.status;
    if (status < 400 || !polls(event)) return;
    event.detail.shouldSwap = false;
    if (status < 500) window.location.reload();
  });
  document.addEventListener("htmx:sendError", function (event) {
    if (polls(event)) return;
    const said = document.createElement("p");
    said.className = "notice warn";
    said.setAttribute("role", "alert");
    said.textContent = "The console cannot be reached. Look at your network, and try again.";
    event.detail.target.replaceChildren(said);
  });
  document.addEventListener("change", function (event) {
    const field = event.target.dataset.into && document.getElementById(event.target.dataset.into);
    if (!field || !event.target.value) return;
    field.value = event.target.value;
    field.dispatchEvent(new Event("input", {bubbles: true}));
  });
  // A chosen file is added to a text field, where it is seen before it is sent: forms carry text alone.
  document.addEventListener("change", function (event) {
    const into = event.target.dataset && event.target.dataset.linesInto;
    if (!into || !event.target.files.length) return;
    event.target.files[0].text().then(function (words) {
      const field = document.getElementById(into);
      field.value = (field.value.trim() + "\n" + words).trim();
      field.dispatchEvent(new Event("input", {bubbles: true}));
    });
  });
})();
