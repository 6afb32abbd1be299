/**
 * The half of WHIP (RFC 9725) and WHEP that is the same: offer, answer, ICE servers, trickle, hang up.
 * The offer is posted before gathering begins, so that TURN servers named in the answer's Link headers are used.
 */

import { NO_MEDIA, Problem, ask } from "./problem.js";

const CONNECT_TIMEOUT_MS = 7_000; // connections through a relay take some three seconds; after this there is a WebSocket
const TRICKLE_EVERY_MS = 50;
const DISCONNECTED_GRACE_MS = 4_000;

/** One WebRTC session with the server. `lost` resolves, once, with why it ended. */
export class Peer {
  #url;
  #token;
  #sessionUrl = "";
  #closed = false;
  /** @type {(why: string) => void} */
  #lose = () => {};
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #grace;

  /** @param {string} url the WHIP or WHEP endpoint @param {string} token */
  constructor(url, token) {
    this.#url = url;
    this.#token = token;
    this.pc = new RTCPeerConnection({ bundlePolicy: "max-bundle" });
    /** @type {Promise<string>} */
    this.lost = new Promise((resolve) => (this.#lose = resolve));
  }

  /** Offers what the connection holds and waits until media can flow. Throws a Problem. @param {AbortSignal} signal */
  async connect(signal) {
    try {
      signal.addEventListener("abort", () => this.close(), { once: true });
      const trickle = new Trickle(this.pc);
      const offer = inStereo(await this.pc.createOffer());
      const answer = await this.#post(offer.sdp ?? "", signal);
      signal.throwIfAborted();
      this.pc.setConfiguration({ ...this.pc.getConfiguration(), iceServers: answer.iceServers });
      await this.pc.setLocalDescription(offer);
      trickle.begin((fragment) => this.#patch(fragment));
      await this.pc.setRemoteDescription({ type: "answer", sdp: answer.sdp });
      await this.#connected(signal);
      this.#watch();
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** Hangs up: DELETE on the session, also while the page goes away. Closing twice is fine. */
  close() {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#grace);
    this.#hangUp();
    this.pc.close();
    this.#lose("closed");
  }

  #hangUp() {
    if (!this.#sessionUrl) return;
    fetch(this.#sessionUrl, { method: "DELETE", headers: this.#headers(), keepalive: true }).catch(() => {});
    this.#sessionUrl = "";
  }

  /** @param {Record<string, string>} [more] @returns {Record<string, string>} */
  #headers(more = {}) {
    return this.#token ? { ...more, Authorization: `Bearer ${this.#token}` } : more;
  }

  /** @param {string} sdp @param {AbortSignal} signal */
  async #post(sdp, signal) {
    const headers = this.#headers({ "Content-Type": "application/sdp" });
    // Not aborted by `signal`: an answer that nobody reads would leave a session behind that nobody can delete.
    const response = await ask(this.#url, { method: "POST", headers, body: sdp });
    this.#sessionUrl = new URL(response.headers.get("Location") ?? "", response.url).href;
    if (signal.aborted) this.#hangUp();
    return { sdp: await response.text(), iceServers: iceServersOf(response.headers.get("Link") ?? "") };
  }

  /** @param {string} fragment */
  async #patch(fragment) {
    if (!this.#sessionUrl) return;
    const headers = this.#headers({ "Content-Type": "application/trickle-ice-sdpfrag" });
    // A refused candidate is no failure: the server learns the browser's address from its checks as well.
    await fetch(this.#sessionUrl, { method: "PATCH", headers, body: fragment }).catch(() => {});
  }

  /** @param {AbortSignal} signal @returns {Promise<void>} */
  #connected(signal) {
    return new Promise((resolve, reject) => {
      const give = (/** @type {string} */ why) => reject(new Problem(NO_MEDIA, why));
      const timer = setTimeout(() => give("the server answered, but no video could pass: is UDP blocked between here and there?"), CONNECT_TIMEOUT_MS);
      const settle = () => {
        const state = this.pc.connectionState;
        if (signal.aborted || state === "closed") reject(signal.reason ?? new Problem(NO_MEDIA, "the session was closed"));
        else if (state === "connected") resolve();
        else if (state === "failed") give("the server answered, but no video could pass: is UDP blocked between here and there?");
        else return;
        clearTimeout(timer);
        this.pc.removeEventListener("connectionstatechange", settle);
      };
      this.pc.addEventListener("connectionstatechange", settle);
      signal.addEventListener("abort", settle, { once: true });
      settle();
    });
  }

  #watch() {
    const check = () => {
      clearTimeout(this.#grace);
      const state = this.pc.connectionState;
      if (state === "failed" || state === "closed") this.#lose("the connection was lost");
      if (state === "disconnected") this.#grace = setTimeout(() => this.#lose("the connection was lost"), DISCONNECTED_GRACE_MS);
    };
    this.pc.addEventListener("connectionstatechange", check);
    // The server's goodbye arrives as a DTLS alert; the connection itself would only notice much later.
    for (const { sender, receiver } of this.pc.getTransceivers()) {
      const dtls = sender.transport ?? receiver.transport;
      dtls?.addEventListener("statechange", () => {
        if (dtls.state === "closed" || dtls.state === "failed") this.#lose("the server ended the session");
      });
    }
    check();
  }
}

/** Browsers send and play Opus in mono unless told (RFC 7587, 7.1). @param {RTCSessionDescriptionInit} offer @returns {RTCSessionDescriptionInit} */
function inStereo({ type, sdp = "" }) {
  return { type, sdp: sdp.replace(/^a=fmtp:\d+ .*useinbandfec=1(?!.*stereo=).*$/gm, "$&;stereo=1;sprop-stereo=1") };
}

/** Collects local candidates and sends them in batches. */
class Trickle {
  /** @type {RTCIceCandidate[]} */
  #found = [];
  #done = false;
  #pc;

  /** @param {RTCPeerConnection} pc */
  constructor(pc) {
    this.#pc = pc;
  }

  /** @param {(fragment: string) => Promise<void>} send */
  begin(send) {
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    let timer;
    const flush = async () => {
      timer = undefined;
      const fragment = this.#fragment();
      if (fragment) await send(fragment);
    };
    this.#pc.addEventListener("icecandidate", ({ candidate }) => {
      if (candidate?.candidate) this.#found.push(candidate);
      else this.#done = true;
      timer ??= setTimeout(flush, TRICKLE_EVERY_MS);
    });
  }

  /** RFC 8840 fragment of what was found since the last one. */
  #fragment() {
    const sdp = this.#pc.localDescription?.sdp ?? "";
    const ufrag = /^a=ice-ufrag:.*$/m.exec(sdp)?.[0];
    const pwd = /^a=ice-pwd:.*$/m.exec(sdp)?.[0];
    const media = /^m=.*$/m.exec(sdp)?.[0];
    const mid = /^a=mid:.*$/m.exec(sdp)?.[0];
    if (!ufrag || !pwd || !media || !mid) return "";
    const lines = this.#found.splice(0).map(({ candidate }) => `a=${candidate}`);
    if (this.#done) lines.push("a=end-of-candidates");
    return [ufrag, pwd, media, mid, ...lines, ""].map((line) => line.trim()).join("\r\n");
  }
}

/** ICE servers from `Link: <turn:…>; rel="ice-server"; username="…"; credential="…"` (RFC 9725, 4.6). @param {string} header */
export function iceServersOf(header) {
  /** @type {RTCIceServer[]} */
  const servers = [];
  for (const [, target = "", rest = ""] of header.matchAll(/<([^>]*)>((?:\s*;\s*[\w-]+="[^"]*")*)/g)) {
    const attributes = Object.fromEntries([...rest.matchAll(/([\w-]+)="([^"]*)"/g)].map(([, key, value]) => [key, value]));
    if (attributes.rel !== "ice-server") continue;
    const urls = /^(stun|turn)s?:/.test(target) ? target : "";
    if (!urls) continue;
    servers.push(attributes.username ? { urls, username: attributes.username, credential: attributes.credential ?? "" } : { urls });
  }
  return servers;
}
