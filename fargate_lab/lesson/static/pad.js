// A square to draw in. Each stroke is a list of [x, y]; all strokes go to Python when the pen is lifted.
const SIZE = 240;

function fit(strokes) {
  // A stored sample may have any size: centre it in the field for showing; it is sent unchanged.
  const points = strokes.flat();
  if (!points.length) return (p) => p;
  const xs = points.map((p) => p[0]);
  const ys = points.map((p) => p[1]);
  const [x0, x1, y0, y1] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  const scale = (SIZE * 0.7) / Math.max(x1 - x0, y1 - y0, 1e-6);
  return ([x, y]) => [
    SIZE / 2 + (x - (x0 + x1) / 2) * scale,
    SIZE / 2 + (y - (y0 + y1) / 2) * scale,
  ];
}

function render({ model, el }) {
  const field = document.createElement("div");
  field.className = "ink-pad";
  const canvas = document.createElement("canvas");
  canvas.width = SIZE;
  canvas.height = SIZE;
  canvas.tabIndex = 0;
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", "Drawing field: draw a digit with the mouse, a pen or a finger");
  const side = document.createElement("div");
  side.className = "ink-side";
  const clear = document.createElement("button");
  clear.textContent = "Clear";
  clear.className = "ink-clear";
  const answer = document.createElement("output");
  answer.className = "ink-answer";
  side.append(clear, answer);
  field.append(canvas, side);
  el.append(field);

  const pen = canvas.getContext("2d");
  let current = null;

  function draw() {
    pen.fillStyle = "#ffffff";
    pen.fillRect(0, 0, SIZE, SIZE);
    pen.strokeStyle = "#1d3557";
    pen.lineWidth = 14;
    pen.lineCap = "round";
    pen.lineJoin = "round";
    const strokes = model.get("strokes");
    const place = model.get("drawn") ? (p) => p : fit(strokes);
    for (const stroke of current ? [...strokes, current] : strokes) {
      pen.beginPath();
      stroke.map(place).forEach(([x, y], i) => (i ? pen.lineTo(x, y) : pen.moveTo(x, y)));
      if (stroke.length === 1) pen.lineTo(...place(stroke[0]));
      pen.stroke();
    }
  }

  function show() {
    answer.textContent = model.get("answer");
  }

  function point(event) {
    const box = canvas.getBoundingClientRect();
    return [
      Math.round(((event.clientX - box.left) * SIZE) / box.width),
      Math.round(((event.clientY - box.top) * SIZE) / box.height),
    ];
  }

  function down(event) {
    event.preventDefault();
    canvas.setPointerCapture(event.pointerId);
    if (!model.get("drawn")) {
      model.set("drawn", true);
      model.set("strokes", []);
    }
    current = [point(event)];
    draw();
  }

  function move(event) {
    if (!current) return;
    const [x, y] = point(event);
    const [lastX, lastY] = current[current.length - 1];
    if (Math.hypot(x - lastX, y - lastY) >= 2) current.push([x, y]);
    draw();
  }

  function up() {
    if (!current) return;
    model.set("strokes", [...model.get("strokes"), current]);
    current = null;
    model.save_changes();
    draw();
  }

  function empty() {
    model.set("drawn", true);
    model.set("strokes", []);
    model.set("answer", "");
    model.save_changes();
    draw();
  }

  canvas.addEventListener("pointerdown", down);
  canvas.addEventListener("pointermove", move);
  canvas.addEventListener("pointerup", up);
  canvas.addEventListener("pointercancel", up);
  clear.addEventListener("click", empty);
  model.on("change:strokes", draw);
  model.on("change:answer", show);
  draw();
  show();
  return () => {
    model.off("change:strokes", draw);
    model.off("change:answer", show);
  };
}

export default { render };
