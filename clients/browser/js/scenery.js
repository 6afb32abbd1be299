/** A landscape that moves by itself, so that the canvas is never a blank page. Pure drawing: a function of time. */

/** @typedef {CanvasRenderingContext2D} Context */

const HORIZON = 0.56;

const HILLS = [
  { base: 0.5, height: 0.13, pace: 0.006, wave: 2.1, from: "#6f7fae", to: "#97a0bd" },
  { base: 0.55, height: 0.1, pace: 0.012, wave: 3.3, from: "#41618f", to: "#6d8aa8" },
  { base: 0.58, height: 0.055, pace: 0.02, wave: 5.2, from: "#234a63", to: "#3c6f77" },
];

/** @param {Context} context @param {number} width @param {number} height @param {number} seconds */
export function drawScenery(context, width, height, seconds) {
  const horizon = height * HORIZON;
  const sun = { x: width * (0.64 + 0.04 * Math.sin(seconds * 0.11)), y: height * (0.3 + 0.05 * Math.sin(seconds * 0.17)) };
  drawSky(context, width, horizon, sun, seconds);
  for (const hill of HILLS) drawHill(context, width, horizon, height, hill, seconds);
  drawWater(context, width, height, horizon, sun, seconds);
  drawBoat(context, width, height, seconds);
  drawShore(context, width, height, seconds);
}

/** @param {Context} context @param {number} width @param {number} horizon @param {{x: number, y: number}} sun @param {number} seconds */
function drawSky(context, width, horizon, sun, seconds) {
  const sky = context.createLinearGradient(0, 0, 0, horizon);
  sky.addColorStop(0, "#2b4a86");
  sky.addColorStop(0.45, "#7f8fc0");
  sky.addColorStop(0.75, "#f0a986");
  sky.addColorStop(1, "#fbd49a");
  context.fillStyle = sky;
  context.fillRect(0, 0, width, horizon + 1);

  const glow = context.createRadialGradient(sun.x, sun.y, 0, sun.x, sun.y, width * 0.42);
  glow.addColorStop(0, "rgba(255, 236, 190, 0.95)");
  glow.addColorStop(0.12, "rgba(255, 205, 130, 0.55)");
  glow.addColorStop(1, "rgba(255, 190, 120, 0)");
  context.fillStyle = glow;
  context.fillRect(0, 0, width, horizon);
  disc(context, sun.x, sun.y, width * 0.055, "#fff1cd");

  for (let i = 0; i < 6; i++) {
    const x = ((i * 0.23 + seconds * (0.008 + 0.003 * (i % 3))) % 1.5) - 0.25;
    drawCloud(context, x * width, horizon * (0.14 + 0.1 * i * (i % 2 ? 1 : 0.7)), width * (0.07 + 0.018 * (i % 3)), i);
  }
}

/** @param {Context} context @param {number} x @param {number} y @param {number} size @param {number} seed */
function drawCloud(context, x, y, size, seed) {
  for (let i = 0; i < 7; i++) {
    const angle = seed * 5.1 + i * 2.4;
    const shade = i < 3 ? "rgba(205, 150, 160, 0.5)" : "rgba(255, 238, 224, 0.62)";
    ellipse(context, x + Math.cos(angle) * size * 1.1, y + Math.sin(angle) * size * 0.16 - (i < 3 ? 0 : size * 0.1), size * (0.62 + 0.22 * Math.sin(angle * 3)), size * 0.2, shade);
  }
}

/** @param {Context} context @param {number} width @param {number} horizon @param {number} height @param {typeof HILLS[number]} hill @param {number} seconds */
function drawHill(context, width, horizon, height, hill, seconds) {
  const shade = context.createLinearGradient(0, height * (hill.base - hill.height), 0, horizon);
  shade.addColorStop(0, hill.from);
  shade.addColorStop(1, hill.to);
  context.fillStyle = shade;
  context.beginPath();
  context.moveTo(0, horizon + 1);
  for (let x = 0; x <= width; x += 6) {
    const u = (x / width) * hill.wave + seconds * hill.pace + hill.wave * 7;
    const rise = 0.5 + 0.28 * Math.sin(u * 2.2) + 0.16 * Math.sin(u * 5.3 + 1) + 0.06 * Math.sin(u * 13.7);
    context.lineTo(x, height * (hill.base - hill.height * rise));
  }
  context.lineTo(width, horizon + 1);
  context.fill();
}

/** @param {Context} context @param {number} width @param {number} height @param {number} horizon @param {{x: number, y: number}} sun @param {number} seconds */
function drawWater(context, width, height, horizon, sun, seconds) {
  const water = context.createLinearGradient(0, horizon, 0, height);
  water.addColorStop(0, "#eab58d");
  water.addColorStop(0.25, "#8f93ad");
  water.addColorStop(1, "#1f4470");
  context.fillStyle = water;
  context.fillRect(0, horizon, width, height - horizon);
  for (let i = 0; i < 64; i++) {
    const depth = (i / 64) ** 1.6;
    const y = horizon + 3 + depth * (height - horizon);
    const sway = Math.sin(seconds * (0.9 + 0.13 * (i % 5)) + i * 1.7);
    const lit = i % 2 === 0;
    const x = lit ? sun.x + sway * width * (0.02 + 0.1 * depth) : ((i * 0.381 + 0.02 * sway) % 1) * width;
    const length = width * (0.018 + 0.075 * depth) * (1 + 0.35 * sway);
    ellipse(context, x, y, length, 1 + 3.2 * depth, lit ? "rgba(255, 226, 168, 0.72)" : "rgba(38, 78, 120, 0.5)");
  }
}

/** @param {Context} context @param {number} width @param {number} height @param {number} seconds */
function drawBoat(context, width, height, seconds) {
  const x = width * (0.3 + 0.08 * Math.sin(seconds * 0.13));
  const y = height * (0.665 + 0.004 * Math.sin(seconds * 1.4));
  const size = width * 0.042;
  ellipse(context, x, y + size * 0.55, size * 1.25, size * 0.16, "rgba(24, 38, 66, 0.5)");
  fill(context, "#f6ead2", [[x + size * 0.05, y - size * 2.3], [x + size * 1.05, y - size * 0.12], [x + size * 0.05, y - size * 0.12]]);
  fill(context, "#d9623b", [[x - size * 0.05, y - size * 1.9], [x - size * 0.05, y - size * 0.12], [x - size * 0.85, y - size * 0.12]]);
  fill(context, "#5a2f26", [[x - size * 1.15, y], [x + size * 1.2, y], [x + size * 0.8, y + size * 0.5], [x - size * 0.75, y + size * 0.5]]);
}

/** @param {Context} context @param {number} width @param {number} height @param {number} seconds */
function drawShore(context, width, height, seconds) {
  fill(context, "#27402f", [[0, height], [0, height * 0.86], [width * 0.22, height * 0.885], [width * 0.5, height * 0.955], [width * 0.74, height]]);
  for (let i = 0; i < 70; i++) {
    const u = (i * 0.618) % 1;
    const x = u * width * 0.56;
    const ground = height * (0.87 + 0.13 * u * 1.25);
    const lean = Math.sin(seconds * 1.1 + i * 0.7) * 5;
    const tall = height * (0.04 + 0.055 * ((i * 0.37) % 1));
    context.strokeStyle = i % 3 ? "#5d7a3a" : "#a3a653";
    context.lineWidth = 2.4;
    context.beginPath();
    context.moveTo(x, ground + 6);
    context.quadraticCurveTo(x + lean * 0.3, ground - tall * 0.5, x + lean, ground - tall);
    context.stroke();
    if (i % 4 === 0) disc(context, x + lean, ground - tall, 3.6, i % 8 ? "#e2573d" : "#f3c64f");
  }
}

/** @param {Context} context @param {string} style @param {number[][]} points */
function fill(context, style, points) {
  context.fillStyle = style;
  context.beginPath();
  for (const [x = 0, y = 0] of points) context.lineTo(x, y);
  context.fill();
}

/** @param {Context} context @param {number} x @param {number} y @param {number} radius @param {string} style */
function disc(context, x, y, radius, style) {
  ellipse(context, x, y, radius, radius, style);
}

/** @param {Context} context @param {number} x @param {number} y @param {number} rx @param {number} ry @param {string} style */
function ellipse(context, x, y, rx, ry, style) {
  context.fillStyle = style;
  context.beginPath();
  context.ellipse(x, y, Math.max(0, rx), Math.max(0, ry), 0, 0, Math.PI * 2);
  context.fill();
}
