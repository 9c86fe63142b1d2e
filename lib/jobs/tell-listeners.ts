import type { EventEmitter } from 'node:events';

/**
 * Tells the listeners. A listener is no part of what happened: what it throws must not leave a job half admitted, or a
 * deletion unconfirmed.
 */
export const tellListeners =
  (events: EventEmitter) =>
  (event: string, value: unknown): void => {
    try {
      events.emit(event, value);
    } catch (error) {
      process.emitWarning(`A listener of '${event}' threw: ${String(error)}`, { code: 'LISTENER_FAILED' });
    }
  };
