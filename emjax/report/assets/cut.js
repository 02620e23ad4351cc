// Class of each node when k are left, numbered from left to right; -1 above. As in number.py.
const cutFromLeft = (merges, order, k) => {
  const n = order.length, owner = Array(2 * n - 1).fill(-1);
  for (let node = 2 * n - k - 1; node >= 0; node -= 1) {
    if (owner[node] < 0) owner[node] = node;
    if (node >= n) for (const child of merges[node - n].slice(0, 2)) owner[child] = owner[node];
  }
  const names = new Map();
  for (const leaf of order) if (!names.has(owner[leaf])) names.set(owner[leaf], names.size);
  return owner.map((o) => (o < 0 ? -1 : names.get(o)));
};

// The movable cut of the tree: branches take the colour of their class, the table follows.
(() => {
  const source = $("#tree");
  if (!source) return;
  const tree = JSON.parse(source.textContent);
  const n = tree.order.length;
  const slider = $("#cut"), line = $("#cut-line"), figure = $("#figure-dendrogram");
  const svg = $("svg", figure);
  const marks = $$("[data-node]", svg);
  const lineAt = svg.viewBox.baseVal;
  const [bottom, top] = tree.plot;
  const heights = [...Array(n).fill(0), ...tree.merges.map((merge) => merge[2])];
  const colour = (i) => `var(--c${i % 8})`;
  const inUse = Math.max(...tree.class);
  const count = (value) => value.toLocaleString("en");

  const cutHeight = (k) => {
    const low = heights[2 * n - 1 - k];
    return (low + (k > 1 ? heights[2 * n - k] : tree.top)) / 2;
  };
  const cells = (row, values) => {
    for (const value of values) row.insertCell().textContent = value;
  };

  // As in number.py: a class takes the colour of the class in use that it holds most of.
  const hues = (found) => {
    const taken = new Set(), hue = [];
    const bySize = found.map((entry, i) => i).sort((a, b) => found[b].size - found[a].size);
    for (const i of bySize) {
      let best = [...found[i].held].sort((a, b) => b[1] - a[1])[0][0] - 1;
      if (best < 0 || taken.has(best)) for (best = inUse; taken.has(best);) best += 1;
      taken.add(best);
      hue[i] = best;
    }
    return hue;
  };

  const show = (k) => {
    const part = cutFromLeft(tree.merges, tree.order, k);
    const found = Array.from({ length: k }, () => ({ size: 0, groups: 0, q: Infinity, held: new Map() }));
    for (let leaf = 0; leaf < n; leaf += 1) {
      const entry = found[part[leaf]], size = tree.size[leaf], used = tree.class[leaf];
      entry.size += size;
      entry.groups += 1;
      if (tree.q[leaf] !== null) entry.q = Math.min(entry.q, tree.q[leaf]);
      entry.held.set(used, (entry.held.get(used) || 0) + size);
    }
    const hue = hues(found);
    // What takes the colour of a class in use has its name; the others are new at this cut.
    found.forEach((entry, i) => {
      entry.name = entry.held.has(hue[i] + 1) ? `class ${hue[i] + 1}` : "new";
      entry.at = i;
    });
    for (const mark of marks) {
      const own = part[+mark.dataset.node];
      mark.style[mark.tagName === "path" ? "stroke" : "fill"] = own < 0 ? "" : colour(hue[own]);
    }
    const y = bottom - (bottom - top) * cutHeight(k) / tree.top;
    line.setAttribute("y1", y);
    line.setAttribute("y2", y);
    const body = $("#cut-table tbody");
    body.replaceChildren();
    const rank = (entry) => (entry.name === "new" ? Infinity : hue[entry.at]);
    const rows = [...found].sort((a, b) => rank(a) - rank(b) || b.size - a.size);
    rows.forEach((entry) => {
      const i = entry.at;
      const row = body.insertRow(), name = row.insertCell();
      const swatch = document.createElement("i");
      swatch.style.background = colour(hue[i]);
      name.append(swatch, entry.name);
      const held = [...entry.held].sort((a, b) => b[1] - a[1]).slice(0, 4)
        .map(([used, size]) => `${used ? "class " + used : "unassigned"}: ${Math.round(100 * size / entry.size)} %`);
      cells(row, [
        count(entry.size), (100 * entry.size / tree.total).toFixed(1) + "\u00a0%", entry.groups,
        entry.q === 0 ? "< 1e-300" : Number.isFinite(entry.q) ? entry.q.toPrecision(2) : "–", held.join(", "),
      ]);
    });
    const all = found.reduce((sum, entry) => sum + entry.size, 0);
    $("#cut-caption").textContent =
      `${k} ${k === 1 ? "class" : "classes"} with ${count(all)} of ${count(tree.total)} particles`;
    $("#cut-count").textContent = k;
    $("#cut-code").textContent = `consensus: {n_classes: ${k}}`;
    slider.value = k;
  };

  slider.addEventListener("input", () => show(+slider.value));
  const pointerY = (event) => {
    const box = svg.getBoundingClientRect();
    return (event.clientY - box.top) * lineAt.height / box.height;
  };
  const nearLine = (event) => Math.abs(pointerY(event) - line.getAttribute("y1")) < 12;
  const drag = (event) => {
    const height = (bottom - pointerY(event)) / (bottom - top) * tree.top;
    const above = tree.merges.filter((merge) => merge[2] > height).length;
    show(Math.max(1, Math.min(above + 1, +slider.max)));
  };
  let dragging = false;
  svg.addEventListener("pointerdown", (event) => {
    if (!nearLine(event)) return;
    dragging = true;
    event.preventDefault();
    svg.setPointerCapture(event.pointerId);
  });
  svg.addEventListener("pointermove", (event) => {
    svg.style.cursor = dragging || nearLine(event) ? "ns-resize" : "";
    if (dragging) drag(event);
  });
  svg.addEventListener("pointerup", () => { dragging = false; });
  $("#cut-copy").addEventListener("click", () => copyText($("#cut-code")));
  show(tree.chosen >= 1 ? Math.min(tree.chosen, +slider.max) : 1);
})();
