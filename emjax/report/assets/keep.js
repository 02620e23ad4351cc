// Classes picked by their boxes: how many particles they hold, and the option that keeps them.
(() => {
  if (!$("#picking")) return;
  const picking = JSON.parse($("#picking").textContent), boxes = $$(".keep");
  const total = Object.values(picking.size).reduce((a, b) => a + b, 0);
  const show = () => {
    const picked = boxes.filter((box) => box.checked).map((box) => +box.value);
    const held = picked.reduce((sum, c) => sum + picking.size[c], 0);
    const all = picked.length === boxes.length, same = picked.join() === picking.kept.join();
    const names = `${picked.length === 1 ? "class" : "classes"} ${picked.join(", ")}`;
    $("#keep-text").textContent = !picked.length
      ? "Keep at least one class."
      : all ? `All ${boxes.length} classes are kept: ${held.toLocaleString("en")} particles. Clear a box to exclude a class.`
        : `${same ? "Kept are" : "Picked are"} ${names}: ${held.toLocaleString("en")} of ${total.toLocaleString("en")} particles in classes.`;
    $("#keep-code").textContent = `rebalance: {keep: ${all ? "null" : `[${picked.join(", ")}]`}}`;
    $("#keep-how").hidden = !picked.length || same;
  };
  for (const box of boxes) box.addEventListener("change", show);
  $("#keep-copy").addEventListener("click", () => copyText($("#keep-code")));
  show();
})();
