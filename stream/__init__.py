"""The live path: wire format, sockets, analysis loop, tracker, calcium events, recorder, supervisor."""
