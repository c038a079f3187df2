// Places that follow a stream of events: data-live holds its address. "add" brings one more item, "state" the words
// below, "show" the whole place, "fill" texts of [data-fill], "reload" loads the page anew, "end" closes. A browser that lost the stream asks for what came after the last id.
(function () {
  "use strict";
  function piece(html) {
    const template = document.createElement("template");
    template.innerHTML = html;
    return template.content;
  }
  function follow(place) {
    if (place.dataset.followed) return;
    place.dataset.followed = "yes";
    const source = new EventSource(place.dataset.live);
    function on(kind, act) {
      source.addEventListener(kind, function (event) {
        if (!place.isConnected) return source.close();
        act(event.data);
      });
    }
    on("add", function (html) { place.querySelector("[data-items]").append(piece(html)); });
    on("state", function (html) { place.querySelector("[data-state]").replaceChildren(piece(html)); unfold(place); standOut(place); });
    on("show", function (html) { place.replaceChildren(piece(html)); });
    on("reload", function () { source.close(); window.location.reload(); });
    on("fill", function (json) {
      const texts = JSON.parse(json);
      place.querySelectorAll("[data-fill]").forEach(function (it) { it.textContent = texts[it.dataset.fill] || ""; });
      place.querySelectorAll("[role=status]").forEach(function (it) { it.textContent = "Their people are counted."; });
    });
    on("end", function () { source.close(); place.dataset.ended = "yes"; });
    source.addEventListener("error", function () {
      if (source.readyState === EventSource.CLOSED && place.isConnected) place.append(note("This page gets no further news. Reload it to see the current state."));
    });
  }
  function standOut(place) {
    if (!place.querySelector(".primary")) return;
    document.querySelectorAll("main .primary").forEach(function (it) { if (!place.contains(it)) it.classList.remove("primary"); });
  }
  function unfold(place) {
    place.querySelectorAll("[data-unfold]").forEach(function (link) {
      const field = document.getElementById(link.hash.slice(1));
      const folded = field && field.closest("details");
      if (folded) folded.open = true;
    });
  }
  function note(words) {
    const said = document.createElement("p");
    said.className = "notice warn";
    said.setAttribute("role", "alert");
    said.textContent = words;
    return said;
  }
  function all(root) {
    if (root.matches && root.matches("[data-live]")) follow(root);
    root.querySelectorAll("[data-live]").forEach(follow);
  }
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
  document.addEventListener("DOMContentLoaded", function () { all(document); });
  document.addEventListener("htmx:sendError", function (event) {
    event.detail.target.replaceChildren(note("The console cannot be reached. Look at your network, and try again."));
  });
  document.addEventListener("htmx:load", function (event) { all(event.detail.elt); });
})();
