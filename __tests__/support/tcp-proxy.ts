import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

/** Stands between a client and a server, and can lose what the server answers. */
export class TcpProxy {
  /** Asked for each piece of an answer; where it is true, the piece is lost and the connection with it. */
  loses: () => boolean = () => false;
  #sockets = new Set<Socket>();

  private constructor(
    /** Where new connections go. */
    public targetPort: number,
    readonly server: Server,
  ) {}

  static async start(targetPort: number): Promise<TcpProxy> {
    const server = createServer();
    const proxy = new TcpProxy(targetPort, server);
    server.on('connection', (client) => proxy.#join(client));
    server.listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    return proxy;
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  /** Cuts all connections. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async stop(): Promise<void> {
    this.cut();
    await new Promise((resolve) => this.server.close(resolve));
  }

  #join(client: Socket): void {
    const target = connect(this.targetPort, '127.0.0.1');
    const both = [client, target];
    for (const socket of both) {
      socket.setNoDelay(true);
      this.#sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        this.#sockets.delete(socket);
        for (const other of both) other.destroy();
      });
    }
    client.on('data', (data) => target.write(data));
    target.on('data', (data) => {
      if (this.loses()) client.destroy();
      else client.write(data);
    });
  }
}
