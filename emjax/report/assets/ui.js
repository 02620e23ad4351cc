"use strict";
// Tabs, theme, print. Without scripts the page shows all parts one below the other.
const $ = (selector, within = document) => within.querySelector(selector);
const $$ = (selector, within = document) => [...within.querySelectorAll(selector)];
// A page opened from a folder may not use the clipboard's own interface.
const copyText = (element) => {
  const range = document.createRange();
  range.selectNodeContents(element);
  getSelection().removeAllRanges();
  getSelection().addRange(range);
  document.execCommand("copy");
};

(() => {
  const root = document.documentElement;
  root.classList.add("js");
  const tabs = $$("[role=tab]");
  const open = (tab, focus = false) => {
    for (const other of tabs) {
      const on = other === tab;
      other.setAttribute("aria-selected", on);
      other.tabIndex = on ? 0 : -1;
      $("#" + other.getAttribute("aria-controls")).hidden = !on;
    }
    if (focus) tab.focus();
  };
  // A tab has an address of its own, so that a link to it can be sent.
  const choose = (tab, focus = false) => {
    open(tab, focus);
    history.replaceState(null, "", "#" + tab.getAttribute("aria-controls"));
  };
  tabs.forEach((tab, i) => {
    tab.addEventListener("click", () => choose(tab));
    tab.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      const next = step ? tabs[(i + step + tabs.length) % tabs.length]
        : event.key === "Home" ? tabs[0] : event.key === "End" ? tabs[tabs.length - 1] : null;
      if (!next) return;
      event.preventDefault();
      choose(next, true);
    });
  });
  const asked = () => {
    const target = location.hash.length > 1 && document.getElementById(location.hash.slice(1));
    const panel = target && target.closest("[role=tabpanel]");
    if (!panel) return false;
    open($("#" + panel.getAttribute("aria-labelledby")));
    target.scrollIntoView();
    return true;
  };
  if (!asked() && tabs.length) open(tabs[0]);
  addEventListener("hashchange", asked);

  const button = $("#theme");
  const theme = (name) => {
    root.dataset.theme = name;
    button.textContent = name === "dark" ? "Light" : "Dark";
    button.setAttribute("aria-label", `Change to the ${button.textContent.toLowerCase()} theme`);
  };
  theme(matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  button.addEventListener("click", () => theme(root.dataset.theme === "dark" ? "light" : "dark"));
  $("#print").addEventListener("click", () => print());
  for (const copy of $$(".copy")) {
    copy.addEventListener("click", () => copyText($("#" + copy.dataset.copy)));
  }
})();
