// A 3D view of the classes: decimated maps as textures, their surfaces found ray by ray, one or two
// side by side under one camera and at one level.
(() => {
  if (!$("#viewer")) return;
  const dialog = $("#viewer"), canvas = $("#viewer-canvas"), note = $("#viewer-note");
  const slider = $("#viewer-level"), value = $("#viewer-value"), sigma = $("#viewer-sigma");
  const first = $("#viewer-class"), beside = $("#viewer-beside");
  const VERTEX = `#version 300 es
    in vec2 corner; out vec2 at; void main() { at = corner; gl_Position = vec4(corner, 0, 1); }`;
  const FRAGMENT = `#version 300 es
    precision highp float; precision highp sampler3D;
    in vec2 at; out vec4 ink;
    uniform sampler3D map; uniform mat3 turn; uniform float level, part, skin; uniform vec2 reach;
    const vec3 LIGHT = normalize(vec3(-.5, .6, -.8)), GLEAM = normalize(vec3(-.25, .3, -.9));
    const vec3 LESS = vec3(.2, .58, .92), MORE = vec3(.95, .45, .05), GROUND = vec3(.93, .95, .965);
    float density(vec3 p) { return texture(map, p + .5).r; }
    float change(vec3 p) { return (texture(map, p + .5).g * 255. - 128.) / 63.5; }
    float either(vec3 p, bool less) { return less ? -change(p) : density(p); }
    vec3 normal(vec3 p, bool less) {
      float e = 1. / float(textureSize(map, 0).x);
      return -normalize(vec3(
        either(p + vec3(e,0,0), less) - either(p - vec3(e,0,0), less),
        either(p + vec3(0,e,0), less) - either(p - vec3(0,e,0), less),
        either(p + vec3(0,0,e), less) - either(p - vec3(0,0,e), less)) + 1e-9);
    }
    vec3 lit(vec3 tone, vec3 p, bool less) {
      vec3 n = normal(p, less);
      float light = max(dot(n, turn * LIGHT), 0.), gleam = pow(max(dot(n, turn * GLEAM), 0.), 30.);
      return tone * (.36 + .68 * light) + .2 * gleam;
    }
    void main() {
      vec3 from = turn * vec3(at * reach, -1.), way = turn * vec3(0, 0, 1);
      vec3 a = (-.5 - from) / way, b = (.5 - from) / way;
      vec3 near = min(a, b), far = max(a, b);
      float start = max(max(near.x, near.y), near.z), last = min(min(far.x, far.y), far.z);
      float before = 0., step = .006;
      vec3 veil = vec3(0), color = GROUND;
      float share = 0.;
      for (float t = start; t < last; t += step) {
        vec3 p = from + way * t;
        float here = density(p);
        if (here > level) {
          p -= way * step * (here - level) / max(here - before, 1e-4);
          float most = 0.;
          for (int i = 0; i < 8; i++) {
            float d = change(p + way * skin * float(i) / 7.);
            if (abs(d) > abs(most)) most = d;
          }
          float tint = clamp(2. * abs(most) / part - 1.5, 0., 1.);
          color = lit(mix(vec3(.62, .68, .74), most < 0. ? LESS : MORE, tint), p, false);
          break;
        }
        if (share == 0. && -change(p) > part) {
          veil = lit(LESS, p, true);
          share = .6;
        }
        before = here;
      }
      ink = vec4(mix(color, veil, share), 1);
    }`;
  const numbers = $$("#viewer-class option").map((option) => option.value);
  const volumes = Object.fromEntries(numbers.map((c) => [c, JSON.parse($(`#volume-${c}`).textContent)]));
  const START = { angles: [0, 0], zoom: 1 };
  const textures = {};
  let gl = null, program = null, camera = { ...START }, level = null;

  const compile = (type, text) => {
    const shader = gl.createShader(type);
    gl.shaderSource(shader, text);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
  };
  const start = () => {
    gl = canvas.getContext("webgl2", { preserveDrawingBuffer: true });
    if (!gl) return false;
    program = gl.createProgram();
    compile(gl.VERTEX_SHADER, VERTEX);
    compile(gl.FRAGMENT_SHADER, FRAGMENT);
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS)) return false;
    gl.useProgram(program);
    gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer());
    gl.bufferData(gl.ARRAY_BUFFER, new Float32Array([-1, -1, 3, -1, -1, 3]), gl.STATIC_DRAW);
    gl.enableVertexAttribArray(0);
    gl.vertexAttribPointer(0, 2, gl.FLOAT, false, 0, 0);
    gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
    gl.enable(gl.SCISSOR_TEST);
    return true;
  };
  const bytes = (volume) => new Promise((done) => {
    const picture = new Image();
    picture.onload = () => {
      const flat = document.createElement("canvas");
      [flat.width, flat.height] = [volume.box, volume.box ** 2];
      const context = flat.getContext("2d", { willReadFrequently: true });
      context.drawImage(picture, 0, 0);
      const rgba = context.getImageData(0, 0, flat.width, flat.height).data;
      done(Uint8Array.from({ length: 2 * volume.box ** 3 }, (_, i) => rgba[4 * (i >> 1) + (i & 1)]));
    };
    picture.src = volume.uri;
  });
  const load = async (c) => {
    if (textures[c]) return;
    const data = await bytes(volumes[c]), box = volumes[c].box;
    textures[c] = gl.createTexture();
    gl.bindTexture(gl.TEXTURE_3D, textures[c]);
    for (const side of [gl.TEXTURE_WRAP_S, gl.TEXTURE_WRAP_T, gl.TEXTURE_WRAP_R]) {
      gl.texParameteri(gl.TEXTURE_3D, side, gl.CLAMP_TO_EDGE);
    }
    gl.texParameteri(gl.TEXTURE_3D, gl.TEXTURE_MIN_FILTER, gl.LINEAR);
    gl.texParameteri(gl.TEXTURE_3D, gl.TEXTURE_MAG_FILTER, gl.LINEAR);
    gl.texImage3D(gl.TEXTURE_3D, 0, gl.RG8, box, box, box, 0, gl.RG, gl.UNSIGNED_BYTE, data);
  };
  const shown = () => [first.value, beside.value].filter(Boolean);
  // Maps of several runs have intensity scales of their own: only their sigmas compare.
  const levelOf = (c) => (volumes[c].common ? level : level * volumes[c].sd / volumes[first.value].sd);
  const view = (c, left, bottom, width, height) => {
    const volume = volumes[c], name = (uniform) => gl.getUniformLocation(program, uniform);
    const [p, q] = camera.angles;
    const [ca, sa, cb, sb] = [Math.cos(p), Math.sin(p), Math.cos(q), Math.sin(q)];
    const reach = 0.55 * volume.window / camera.zoom, short = Math.min(width, height);
    gl.viewport(left, bottom, width, height);
    gl.scissor(left, bottom, width, height);
    gl.bindTexture(gl.TEXTURE_3D, textures[c]);
    // Rows of maps and pictures run downwards, as on the stills.
    gl.uniformMatrix3fv(name("turn"), false, [ca, 0, -sa, -sa * sb, -cb, -ca * sb, sa * cb, -sb, ca * cb]);
    gl.uniform1f(name("level"), (levelOf(c) - volume.low) / (volume.high - volume.low));
    gl.uniform1f(name("part"), volume.part);
    gl.uniform1f(name("skin"), volume.window / 8);
    gl.uniform2f(name("reach"), reach * width / short, reach * height / short);
    gl.drawArrays(gl.TRIANGLES, 0, 3);
    return 2 * reach * volume.width / short; // Å per pixel
  };
  const bar = (scale, wide) => {
    const power = 10 ** Math.floor(Math.log10(0.3 * wide * scale));
    const length = [5, 2, 1].map((m) => m * power).find((l) => l <= 0.3 * wide * scale);
    $("#viewer-bar").textContent = `${+length.toPrecision(3)} Å`;
    $("#viewer-bar").style.width = `${length / scale}px`;
  };
  const draw = () => {
    if (!program || !dialog.open || !shown().every((c) => textures[c])) return;
    const ratio = devicePixelRatio || 1, { clientWidth, clientHeight } = canvas;
    canvas.width = Math.round(clientWidth * ratio);
    canvas.height = Math.round(clientHeight * ratio);
    // Side by side, or one above the other where there is more room.
    const each = shown(), n = each.length, stacked = clientHeight > clientWidth;
    const width = stacked ? canvas.width : Math.floor(canvas.width / n);
    const height = stacked ? Math.floor(canvas.height / n) : canvas.height;
    const scales = each.map((c, i) => (stacked
      ? view(c, 0, (n - 1 - i) * height, width, height) : view(c, i * width, 0, width, height)));
    bar(scales[0] * ratio, width / ratio);
    $("#viewer-names").classList.toggle("stacked", stacked);
    $("#viewer-names").replaceChildren(...each.map((c) => {
      const label = document.createElement("span");
      label.textContent = `Class ${c}`;
      return label;
    }));
    canvas.dataset.drawn = each.join();
  };
  let waiting = false;
  const redraw = () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; draw(); });
  };
  const setLevel = (wanted) => {
    const { low, high, sd } = volumes[first.value];
    level = Math.min(Math.max(wanted, low), high);
    slider.value = 255 * (level - low) / (high - low);
    value.value = level.toPrecision(3);
    sigma.value = (level / sd).toFixed(2);
    redraw();
  };
  const show = async (c) => {
    const before = volumes[first.value];
    const keep = level !== null && (before.common ? level : level / before.sd * volumes[c].sd);
    first.value = c;
    $("#viewer-title").textContent = `Surface of class ${c}`;
    setLevel(keep || volumes[c].low + (volumes[c].high - volumes[c].low) * volumes[c].level / 255);
    if (!program) return;
    await Promise.all(shown().map(load));
    draw();
  };
  const look = (c) => {
    dialog.showModal();
    if (!gl && !start()) {
      program = null;
      $("#viewer-frame").hidden = true;
      note.textContent = "This browser draws no 3D (WebGL 2). Open the map in ChimeraX instead.";
    }
    show(c);
  };
  const step = (by) => show(numbers[(numbers.indexOf(first.value) + by + numbers.length) % numbers.length]);
  const zoom = (by) => {
    camera.zoom = Math.min(Math.max(camera.zoom * by, 0.4), 12);
    redraw();
  };
  const turn = (x, y) => {
    camera.angles = [camera.angles[0] + x, camera.angles[1] + y];
    redraw();
  };
  for (const button of $$(".look")) button.addEventListener("click", () => look(button.dataset.class));
  $("#viewer-close").addEventListener("click", () => dialog.close());
  $("#viewer-before").addEventListener("click", () => step(-1));
  $("#viewer-after").addEventListener("click", () => step(1));
  $("#viewer-in").addEventListener("click", () => zoom(1.25));
  $("#viewer-out").addEventListener("click", () => zoom(0.8));
  $("#viewer-reset").addEventListener("click", () => { camera = { ...START }; redraw(); });
  first.addEventListener("change", () => show(first.value));
  beside.addEventListener("change", () => show(first.value));
  slider.addEventListener("input", () => {
    const { low, high } = volumes[first.value];
    setLevel(low + (high - low) * slider.value / 255);
  });
  value.addEventListener("change", () => setLevel(+value.value));
  sigma.addEventListener("change", () => setLevel(sigma.value * volumes[first.value].sd));
  addEventListener("resize", redraw);
  // One finger or the pointer rotates, two fingers or the wheel zoom.
  const fingers = new Map();
  const spread = () => {
    const [a, b] = [...fingers.values()];
    return Math.hypot(a[0] - b[0], a[1] - b[1]);
  };
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, [event.clientX, event.clientY]);
  });
  for (const end of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(end, (event) => fingers.delete(event.pointerId));
  }
  canvas.addEventListener("pointermove", (event) => {
    const old = fingers.get(event.pointerId);
    if (!old) return;
    const apart = fingers.size === 2 && spread();
    fingers.set(event.pointerId, [event.clientX, event.clientY]);
    if (apart) zoom(spread() / apart);
    else turn((event.clientX - old[0]) * -0.01, (event.clientY - old[1]) * 0.01);
  });
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoom(Math.exp(-event.deltaY / 500));
  }, { passive: false });
  canvas.addEventListener("keydown", (event) => {
    const keys = {
      ArrowLeft: () => turn(0.1, 0), ArrowRight: () => turn(-0.1, 0),
      ArrowUp: () => turn(0, -0.1), ArrowDown: () => turn(0, 0.1),
      "+": () => zoom(1.25), "=": () => zoom(1.25), "-": () => zoom(0.8),
      PageUp: () => step(-1), PageDown: () => step(1),
    };
    if (!keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
  });
})();
