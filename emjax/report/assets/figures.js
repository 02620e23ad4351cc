// Numbers under the pointer; figures saved as SVG and PNG, their numbers as CSV or a table.
(() => {
  const tip = $("#tip");
  const place = (event) => {
    const mark = event.target.closest && event.target.closest("[data-tip]");
    tip.hidden = !mark;
    if (!mark) return;
    tip.textContent = mark.dataset.tip;
    const box = tip.getBoundingClientRect();
    tip.style.left = Math.max(4, Math.min(event.clientX + 14, innerWidth - box.width - 8)) + "px";
    const below = event.clientY + 18;
    tip.style.top = (below + box.height > innerHeight ? event.clientY - box.height - 10 : below) + "px";
  };
  addEventListener("pointermove", place);
  addEventListener("pointerdown", place);
  addEventListener("scroll", () => { tip.hidden = true; }, { passive: true });

  const download = (name, url) => {
    const link = document.createElement("a");
    link.href = url;
    link.download = name;
    link.click();
  };
  const wrap = (text, most) => {
    const lines = [""];
    for (const word of text.trim().split(/\s+/)) {
      const last = lines[lines.length - 1];
      if (last && last.length + word.length + 1 > most) lines.push(word);
      else lines[lines.length - 1] = last ? `${last} ${word}` : word;
    }
    return lines;
  };
  const blob = (text, type) => URL.createObjectURL(new Blob([text], { type }));
  const standalone = (figure) => {
    const svg = $("svg", figure).cloneNode(true);
    const style = document.createElementNS("http://www.w3.org/2000/svg", "style");
    style.textContent = $("#chart-style").textContent;
    svg.prepend(style);
    const [, , width, height] = svg.getAttribute("viewBox").split(" ").map(Number);
    // As svg.py writes the files: the title above, how to read it below.
    const title = wrap($("h3", figure).textContent, width / 10);
    const caption = wrap($("figcaption", figure).textContent, width / 7.5);
    const top = 22 * title.length + 12, all = height + top + 16 * caption.length + 14;
    const add = (name, marks, words = "") => {
      const mark = document.createElementNS("http://www.w3.org/2000/svg", name);
      for (const key of Object.keys(marks)) mark.setAttribute(key, marks[key]);
      mark.textContent = words;
      return mark;
    };
    style.after(add("rect", { x: 0, y: -top, width, height: all, class: "paper" }));
    title.forEach((line, i) => svg.append(add("text", { x: 12, y: 22 * (i + 1) - top, class: "title" }, line)));
    caption.forEach((line, i) => svg.append(add("text", { x: 12, y: height + 16 * (i + 1), class: "caption" }, line)));
    svg.setAttribute("viewBox", `0 ${-top} ${width} ${all}`);
    svg.setAttribute("width", width);
    svg.setAttribute("height", all);
    return { text: new XMLSerializer().serializeToString(svg), width, height: all };
  };
  const csv = (figure) => JSON.parse($("script.csv", figure).textContent);
  const parse = (text) => text.trim().split("\n").map((line) =>
    (line.match(/("([^"]|"")*"|[^,]*)(,|$)/g) || []).map((cell) =>
      cell.replace(/,$/, "").replace(/^"|"$/g, "").replaceAll('""', '"')).slice(0, -1));
  const actions = {
    svg: (figure, name) => download(`${name}.svg`, blob(standalone(figure).text, "image/svg+xml")),
    csv: (figure, name) => download(`${name}.csv`, blob(csv(figure), "text/csv")),
    png: (figure, name) => {
      const { text, width, height } = standalone(figure);
      const picture = new Image();
      picture.onload = () => {
        const canvas = document.createElement("canvas");
        [canvas.width, canvas.height] = [3 * width, 3 * height];
        const context = canvas.getContext("2d");
        context.fillStyle = "#fff";
        context.fillRect(0, 0, canvas.width, canvas.height);
        context.drawImage(picture, 0, 0, canvas.width, canvas.height);
        download(`${name}.png`, canvas.toDataURL("image/png"));
      };
      picture.src = "data:image/svg+xml;charset=utf-8," + encodeURIComponent(text);
    },
    table: (figure, name, button) => {
      const old = $(".numbers", figure);
      button.setAttribute("aria-expanded", !old);
      if (old) return old.remove();
      const rows = parse(csv(figure));
      const table = document.createElement("table");
      rows.slice(0, 201).forEach((cells, i) => {
        const row = table.insertRow();
        for (const cell of cells) {
          const box = row.appendChild(document.createElement(i ? "td" : "th"));
          box.textContent = cell;
        }
      });
      const frame = document.createElement("div");
      frame.className = "scroll numbers";
      frame.tabIndex = 0;
      frame.append(table);
      if (rows.length > 201) frame.append(`First 200 of ${rows.length - 1} rows; the CSV has all.`);
      figure.append(frame);
    },
  };
  for (const button of $$("[data-save]")) {
    const figure = button.closest(".figure");
    button.addEventListener("click", () =>
      actions[button.dataset.save](figure, figure.dataset.name, button));
  }
})();
