"""HTTP: the console, WHIP and WHEP, the JSON API. Translates between HTTP and the layers below, and owns no state."""
