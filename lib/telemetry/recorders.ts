/**
 * What is recorded of each event. The types of the events name what is read of them: none names who the customer, the job
 * or the client was, so that the compiler keeps these out of the attributes.
 */
export type Recorders<E> = { [K in keyof E]: (value: E[K]) => void };
