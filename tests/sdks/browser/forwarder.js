/** A loopback port that passes all it gets on to the server under test: the line that the tests cut. */
"use strict";

const net = require("node:net");

const HOST = "127.0.0.1";

class Forwarder {
  #target;
  #sockets = new Set();
  /** Clients that came while the line was cut; null while it is whole. */
  #waiting = null;
  #server = net.createServer((client) => this.#accept(client));

  constructor(target) {
    this.#target = target;
  }

  /** Starts to listen, and returns the port. */
  listen() {
    return new Promise((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen(0, HOST, () => resolve(this.#server.address().port));
    });
  }

  /** Drops every connection. Whoever comes from now on hears nothing until `restore`. */
  cut() {
    this.#waiting ??= [];
    for (const socket of this.#sockets) socket.destroy();
  }

  restore() {
    const waiting = this.#waiting ?? [];
    this.#waiting = null;
    for (const client of waiting) this.#connect(client);
  }

  close() {
    this.#server.close();
    this.cut();
  }

  #accept(client) {
    this.#keep(client);
    if (this.#waiting) this.#waiting.push(client);
    else this.#connect(client);
  }

  #connect(client) {
    if (client.destroyed) return;
    const upstream = this.#keep(net.connect(this.#target, HOST));
    client.pipe(upstream).pipe(client);
    client.once("close", () => upstream.destroy());
    upstream.once("close", () => client.destroy());
  }

  #keep(socket) {
    this.#sockets.add(socket);
    socket.setNoDelay();
    socket.on("error", () => {}); // "close" follows, and says all that matters here
    socket.once("close", () => this.#sockets.delete(socket));
    return socket;
  }
}

module.exports = { Forwarder, HOST };
