"""From bytes to pixels: formats, headers, decoding, resizing, and the engine that streams photos. No models, no lake."""
