// A 3D look at a class: the decimated map as a texture, its surface found ray by ray.
(() => {
  if (!$("#viewer")) return;
  const dialog = $("#viewer"), canvas = $("#viewer-canvas"), level = $("#viewer-level");
  const note = $("#viewer-note");
  const VERTEX = `#version 300 es
    in vec2 corner; out vec2 at; void main() { at = corner; gl_Position = vec4(corner, 0, 1); }`;
  const FRAGMENT = `#version 300 es
    precision highp float; precision highp sampler3D;
    in vec2 at; out vec4 ink;
    uniform sampler3D map; uniform mat3 turn; uniform float level;
    float density(vec3 p) { return texture(map, p + .5).r; }
    vec3 tone(vec3 p) {
      float d = (texture(map, p + .5).g * 255. - 128.) / 110.;
      vec3 end = d < 0. ? vec3(.05, .35, .75) : vec3(.95, .45, .05);
      return mix(vec3(.62, .68, .74), end, smoothstep(.12, .7, abs(d)));
    }
    void main() {
      vec3 from = turn * vec3(at * .8, -1.), way = turn * vec3(0, 0, 1);
      vec3 a = (-.5 - from) / way, b = (.5 - from) / way;
      vec3 near = min(a, b), far = max(a, b);
      float first = max(max(near.x, near.y), near.z), last = min(min(far.x, far.y), far.z);
      float before = 0., step = .01;
      for (float t = first; t < last; t += step) {
        vec3 p = from + way * t;
        float here = density(p);
        if (here > level) {
          p -= way * step * (here - level) / max(here - before, 1e-4);
          float e = 1. / float(textureSize(map, 0).x);
          vec3 n = -normalize(vec3(
            density(p + vec3(e,0,0)) - density(p - vec3(e,0,0)),
            density(p + vec3(0,e,0)) - density(p - vec3(0,e,0)),
            density(p + vec3(0,0,e)) - density(p - vec3(0,0,e))) + 1e-9);
          float light = max(dot(n, turn * normalize(vec3(-.5, .6, -.8))), 0.);
          float gleam = pow(max(dot(n, turn * normalize(vec3(-.25, .3, -.9))), 0.), 30.);
          ink = vec4(tone(p) * (.36 + .68 * light) + .2 * gleam, 1);
          return;
        }
        before = here;
      }
      ink = vec4(.93, .95, .965, 1);
    }`;
  let gl = null, program = null, angles = [0.5, 0.3];

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
    gl.bindTexture(gl.TEXTURE_3D, gl.createTexture());
    for (const side of [gl.TEXTURE_WRAP_S, gl.TEXTURE_WRAP_T, gl.TEXTURE_WRAP_R]) {
      gl.texParameteri(gl.TEXTURE_3D, side, gl.CLAMP_TO_EDGE);
    }
    gl.texParameteri(gl.TEXTURE_3D, gl.TEXTURE_MIN_FILTER, gl.LINEAR);
    gl.texParameteri(gl.TEXTURE_3D, gl.TEXTURE_MAG_FILTER, gl.LINEAR);
    gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
    return true;
  };
  const draw = () => {
    if (!program) return;
    const [ca, sa, cb, sb] = [Math.cos(angles[0]), Math.sin(angles[0]), Math.cos(angles[1]), Math.sin(angles[1])];
    const turn = [ca, 0, -sa, sa * sb, cb, ca * sb, sa * cb, -sb, ca * cb];
    gl.uniformMatrix3fv(gl.getUniformLocation(program, "turn"), false, turn);
    gl.uniform1f(gl.getUniformLocation(program, "level"), level.value / 255);
    gl.drawArrays(gl.TRIANGLES, 0, 3);
    canvas.dataset.drawn = "yes";
  };
  let waiting = false;
  const redraw = () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; draw(); });
  };
  const load = (volume) => new Promise((done) => {
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
  const look = async (number) => {
    const volume = JSON.parse($(`#volume-${number}`).textContent);
    $("#viewer-title").textContent = `Surface of class ${number}`;
    level.value = volume.level;
    dialog.showModal();
    if (!gl && !start()) {
      program = null;
      canvas.hidden = true;
      note.textContent = "This browser draws no 3D (WebGL 2). Open the map in ChimeraX instead.";
      return;
    }
    const bytes = await load(volume), box = volume.box;
    gl.texImage3D(gl.TEXTURE_3D, 0, gl.RG8, box, box, box, 0, gl.RG, gl.UNSIGNED_BYTE, bytes);
    draw();
  };
  for (const button of $$(".look")) button.addEventListener("click", () => look(button.dataset.class));
  $("#viewer-close").addEventListener("click", () => dialog.close());
  level.addEventListener("input", redraw);
  canvas.addEventListener("pointermove", (event) => {
    if (!event.buttons) return;
    angles = [angles[0] - event.movementX * 0.01, angles[1] - event.movementY * 0.01];
    redraw();
  });
  canvas.addEventListener("keydown", (event) => {
    const turn = { ArrowLeft: [0.1, 0], ArrowRight: [-0.1, 0], ArrowUp: [0, 0.1], ArrowDown: [0, -0.1] }[event.key];
    if (!turn) return;
    event.preventDefault();
    angles = [angles[0] + turn[0], angles[1] + turn[1]];
    redraw();
  });
})();
