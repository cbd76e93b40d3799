"use strict";
// Meshes and points on canvases that share one WebGL context. Each is unpacked when it first comes into view, and drawn
// when its view changes; shapes within one [data-together] have one view.
{
  const VERTEX = `#version 300 es
    layout(location = 0) in float x; layout(location = 1) in float y; layout(location = 2) in float z;
    layout(location = 3) in float red; layout(location = 4) in float green; layout(location = 5) in float blue;
    uniform mat3 turn; uniform vec3 extent; uniform float size;
    out vec3 place; out vec3 color;
    void main() {
      place = turn * ((vec3(x, y, z) - 0.5) * extent);
      color = vec3(red, green, blue);
      float near = 1.0 - 0.2 * place.z;
      gl_Position = vec4(0.95 * place.xy, -0.4 * place.z * near, near);
      gl_PointSize = size / near;
    }`;
  const FRAGMENT = `#version 300 es
    precision highp float;
    in vec3 place; in vec3 color;
    uniform bool ball;
    out vec4 light;
    void main() {
      vec3 normal;
      if (ball) {
        vec2 at = 2.0 * gl_PointCoord - 1.0;
        if (dot(at, at) > 1.0) discard;
        normal = vec3(at.x, -at.y, sqrt(1.0 - dot(at, at)));
      } else {
        normal = normalize(cross(dFdx(place), dFdy(place)));
        normal *= sign(normal.z);
      }
      float shade = 0.5 + 0.5 * max(0.0, dot(normal, normalize(vec3(0.35, 0.7, 0.65)))) + 0.12 * normal.y;
      light = vec4(color * shade, 1.0);
    }`;
  const FRONT = { azimuth: (35 * Math.PI) / 180, elevation: (22 * Math.PI) / 180 };
  const KEYS = { ArrowLeft: [-0.2, 0], ArrowRight: [0.2, 0], ArrowUp: [0, -0.2], ArrowDown: [0, 0.2] };
  const STYLE = `
    .multigen-shape { aspect-ratio: 1; cursor: grab; touch-action: pan-y; }
    .multigen-shape:active { cursor: grabbing; }`;

  const surface = document.createElement("canvas");
  const gl = surface.getContext("webgl2", { antialias: true });

  const prepare = () => {
    const program = gl.createProgram();
    for (const [kind, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    gl.useProgram(program);
    gl.enable(gl.DEPTH_TEST);
    const names = ["turn", "extent", "size", "ball"];
    return Object.fromEntries(names.map((name) => [name, gl.getUniformLocation(program, name)]));
  };

  const sums = (differences) => {
    for (let i = 1; i < differences.length; i++) differences[i] += differences[i - 1]; // modulo the array's range
    return differences;
  };

  // From the world to the viewer, by columns.
  const turned = ({ azimuth, elevation }) => {
    const [c, s, d, t] = [Math.cos(azimuth), Math.sin(azimuth), Math.cos(elevation), Math.sin(elevation)];
    return [c, -t * s, d * s, 0, d, t, -s, -t * c, d * c];
  };

  class Shape {
    constructor(canvas, view) {
      this.canvas = canvas;
      this.view = view;
      this.points = Number(canvas.dataset.points);
      this.corners = Number(canvas.dataset.corners);
      this.extent = canvas.dataset.extent.split(",").map(Number);
    }

    async unpack() {
      const packed = Uint8Array.from(atob(this.canvas.dataset.packed), (letter) => letter.charCodeAt(0));
      const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
      const bytes = await new Response(stream).arrayBuffer();
      const { points, corners } = this;
      const indices = sums(new Uint32Array(bytes, 0, corners));
      const places = sums(new Uint16Array(bytes, 4 * corners, 3 * points));
      const colors = sums(new Uint8Array(bytes, 4 * corners + 6 * points, 3 * points));
      this.arrays = gl.createVertexArray();
      gl.bindVertexArray(this.arrays);
      for (const [first, array, kind] of [[0, places, gl.UNSIGNED_SHORT], [3, colors, gl.UNSIGNED_BYTE]]) {
        gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer());
        gl.bufferData(gl.ARRAY_BUFFER, array, gl.STATIC_DRAW);
        for (let axis = 0; axis < 3; axis++) {
          gl.enableVertexAttribArray(first + axis);
          gl.vertexAttribPointer(first + axis, 1, kind, true, 0, axis * points * array.BYTES_PER_ELEMENT);
        }
      }
      gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, gl.createBuffer());
      gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, indices, gl.STATIC_DRAW);
      new ResizeObserver(() => this.draw()).observe(this.canvas); // which draws it the first time, too
    }

    draw() {
      if (!this.arrays) return;
      const { canvas, points, corners } = this;
      const side = Math.max(1, Math.round(canvas.clientWidth * devicePixelRatio));
      if (surface.height < side) surface.width = surface.height = side;
      canvas.width = canvas.height = side;
      gl.viewport(0, 0, side, side);
      gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
      gl.bindVertexArray(this.arrays);
      gl.uniformMatrix3fv(uniforms.turn, false, turned(this.view));
      gl.uniform3fv(uniforms.extent, this.extent);
      gl.uniform1f(uniforms.size, Math.max(2, (1.5 * side) / Math.sqrt(points)));
      gl.uniform1i(uniforms.ball, corners ? 0 : 1);
      if (corners) gl.drawElements(gl.TRIANGLES, corners, gl.UNSIGNED_INT, 0);
      else gl.drawArrays(gl.POINTS, 0, points);
      canvas.getContext("2d").drawImage(surface, 0, surface.height - side, side, side, 0, 0, side, side);
    }
  }

  const listen = (canvas, turn) => {
    let last;
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      last = event;
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!canvas.hasPointerCapture(event.pointerId)) return;
      const [across, down] = [event.clientX - last.clientX, event.clientY - last.clientY];
      turn((-4 * across) / canvas.clientWidth, (4 * down) / canvas.clientWidth);
      last = event;
    });
    canvas.addEventListener("keydown", (event) => {
      if (!KEYS[event.key]) return;
      event.preventDefault();
      turn(...KEYS[event.key]);
    });
  };

  const show = (canvases) => {
    const view = { ...FRONT };
    const shapes = new Map(canvases.map((canvas) => [canvas, new Shape(canvas, view)]));
    const turn = (azimuth, elevation) => {
      view.azimuth += azimuth;
      view.elevation = Math.min(Math.PI / 2, Math.max(-Math.PI / 2, view.elevation + elevation));
      for (const shape of shapes.values()) shape.draw();
    };
    const seen = new IntersectionObserver((entries) => {
      for (const { target } of entries.filter(({ isIntersecting }) => isIntersecting)) {
        seen.unobserve(target);
        shapes.get(target).unpack();
      }
    }, { rootMargin: "50%" });
    for (const canvas of canvases) {
      listen(canvas, turn);
      seen.observe(canvas);
    }
  };

  document.head.append(Object.assign(document.createElement("style"), { textContent: STYLE }));
  const uniforms = gl && prepare();
  const groups = new Map();
  for (const canvas of document.querySelectorAll("canvas.multigen-shape")) {
    const group = canvas.closest("[data-together]") ?? canvas;
    if (!gl) canvas.replaceWith(`${canvas.title}: this browser has no WebGL`);
    else if (groups.has(group)) groups.get(group).push(canvas);
    else groups.set(group, [canvas]);
  }
  for (const canvases of groups.values()) show(canvases);
}
