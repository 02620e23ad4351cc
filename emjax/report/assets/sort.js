// Tables that are sorted by the buttons of their columns; cells without a number come last.
(() => {
  for (const table of $$("table.sortable")) {
    const body = table.tBodies[0], heads = $$("th[scope=col]", table);
    const value = (row, i) => parseFloat(row.cells[i].dataset.sort);
    heads.forEach((head, i) => $("button", head).addEventListener("click", () => {
      const way = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", way > 0 ? "ascending" : "descending");
      const last = (a) => (Number.isNaN(a) ? 1 : 0);
      const order = (p, q) => {
        const [a, b] = [value(p, i), value(q, i)];
        return last(a) - last(b) || way * (a - b) || 0;
      };
      body.append(...[...body.rows].sort(order));
    }));
  }
})();
