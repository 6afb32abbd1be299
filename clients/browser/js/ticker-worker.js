/** A timer in a worker: browsers slow the timers of a hidden page to one a second, and a streamer hides this page. */

/** @type {ReturnType<typeof setInterval> | undefined} */
let timer;

self.addEventListener("message", (/** @type {MessageEvent<number>} */ { data: hz }) => {
  clearInterval(timer);
  if (hz > 0) timer = setInterval(() => self.postMessage(0), 1000 / hz);
});
