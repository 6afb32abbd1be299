/**
 * sound.mjs BASE SECONDS: a page publishes flashes with beeps through the console's own modules, and watches and hears them
 * come back; then the same through a connection of the page to itself, which is what the browser makes of it by itself. What
 * is shown is timed when the browser presents it, what is heard when its audio graph renders it.
 */

import { report } from "./chromium.mjs";

const [base, seconds] = process.argv.slice(2);

await report(
  async (page) => {
    await page.goto(`${base}/healthz`); // any page of the server
    await page.mouse.click(10, 10); // one that was clicked may be heard
    return page.evaluate(clap, { base, seconds: Number(seconds) });
  },
  { bypassCSP: true }, // for the worklet that listens
);

/** Runs in the page. */
async function clap({ base, seconds }) {
  const { publish } = await import(`${base}/assets/js/whip.js`);
  const { play } = await import(`${base}/assets/js/whep.js`);
  const EVERY_MS = 1000;
  const LENGTH_MS = 200;
  const pause = (ms) => new Promise((go) => setTimeout(go, ms));
  const audio = new AudioContext({ latencyHint: "interactive" });
  await audio.resume();
  const worklet = `registerProcessor("loud", class extends AudioWorkletProcessor {
    process([[samples]]) {
      const loud = samples?.findIndex((value) => Math.abs(value) > 0.1) ?? -1;
      if (loud >= 0 && !(this.last > currentTime - 0.3)) this.port.postMessage(currentTime + loud / sampleRate);
      if (loud >= 0) this.last = currentTime;
      return true;
    }
  })`;
  await audio.audioWorklet.addModule(URL.createObjectURL(new Blob([worklet], { type: "text/javascript" })));

  // The source: every second a flash, and a tone of the same moments. Something always moves.
  const canvas = Object.assign(document.createElement("canvas"), { width: 320, height: 240 });
  const context = canvas.getContext("2d", { alpha: false });
  const gain = new GainNode(audio, { gain: 0 });
  const tone = new OscillatorNode(audio, { frequency: 1000 });
  const end = audio.createMediaStreamDestination();
  tone.connect(gain).connect(end);
  tone.start();
  let bright = ["#000", "#fff"];
  let on = false;
  setInterval(() => {
    const now = performance.now();
    const flash = now % EVERY_MS < LENGTH_MS;
    if (flash !== on) gain.gain.setValueAtTime(flash ? 0.8 : 0, audio.currentTime);
    on = flash;
    context.fillStyle = bright[Number(flash)];
    context.fillRect(0, 0, 320, 240);
    context.fillStyle = `hsl(${now / 20} 80% 50%)`;
    context.fillRect(0, 220, 20, 20);
  }, 1000 / 30);
  const picture = canvas.captureStream(30).getVideoTracks()[0];
  const sound = end.stream.getAudioTracks()[0];

  /** Offsets of beeps after flashes in what `video` plays. */
  async function watch(video) {
    const flashes = [];
    const beeps = [];
    const level = new OffscreenCanvas(8, 8).getContext("2d", { willReadFrequently: true });
    let lit = true;
    const see = (_, { expectedDisplayTime }) => {
      level.drawImage(video, 0, 0, 160, 120, 0, 0, 8, 8);
      const now = level.getImageData(0, 0, 8, 8).data[4 * 27 + 1] > 128;
      if (now && !lit) flashes.push(expectedDisplayTime);
      lit = now;
      video.requestVideoFrameCallback(see);
    };
    video.requestVideoFrameCallback(see);
    const ear = new AudioWorkletNode(audio, "loud");
    ear.port.onmessage = ({ data }) => {
      const { contextTime, performanceTime } = audio.getOutputTimestamp();
      beeps.push(performanceTime + 1000 * (data - contextTime));
    };
    const heard = audio.createMediaStreamSource(new MediaStream(video.srcObject.getAudioTracks()));
    heard.connect(ear);
    await pause(seconds * 1000);
    heard.disconnect();
    return flashes.map((flash) => beeps.map((beep) => beep - flash).sort((a, b) => Math.abs(a) - Math.abs(b))[0] ?? null);
  }

  function screen() {
    const video = Object.assign(document.createElement("video"), { playsInline: true });
    document.body.append(video);
    return video;
  }

  async function throughServer() {
    bright = ["#fff", "#000"]; // its fake engine inverts
    const { signal } = new AbortController();
    const publisher = await publish(`${base}/whip/clap`, "", picture, sound, signal);
    const video = screen();
    let viewer = null;
    while (!viewer) viewer = await play(`${base}/whep/clap`, "", video, signal).catch(() => pause(200));
    const offsets = await watch(video);
    const [counted] = [...(await viewer.pc.getStats()).values()].filter(({ type, kind }) => type === "inbound-rtp" && kind === "audio");
    const result = { offsets, packets: counted?.packetsReceived ?? 0, muted: video.muted, stereo: /stereo=1/.test(viewer.pc.remoteDescription.sdp) };
    publisher.close();
    viewer.close();
    video.remove();
    return result;
  }

  async function throughItself() {
    bright = ["#000", "#fff"];
    const [here, there] = [new RTCPeerConnection(), new RTCPeerConnection()];
    here.onicecandidate = ({ candidate }) => candidate && there.addIceCandidate(candidate);
    there.onicecandidate = ({ candidate }) => candidate && here.addIceCandidate(candidate);
    const together = new MediaStream([picture, sound]);
    here.addTrack(picture, together);
    here.addTrack(sound, together);
    const video = screen();
    there.ontrack = ({ receiver, streams }) => {
      receiver.jitterBufferTarget = 0; // as our own viewer
      video.srcObject = streams[0];
    };
    await here.setLocalDescription();
    await there.setRemoteDescription(here.localDescription);
    await there.setLocalDescription();
    await here.setRemoteDescription(there.localDescription);
    await video.play();
    const offsets = await watch(video);
    here.close();
    there.close();
    return offsets;
  }

  return { ...(await throughServer()), itself: await throughItself() };
}
