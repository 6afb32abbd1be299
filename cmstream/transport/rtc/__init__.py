"""WebRTC peers on aiortc: WHIP publishers and WHEP viewers, without the HTTP around them."""
