/*
 * What the first byte of a stream between two nodes says that it is for.
 */

/** A program's connection: what follows is the program's own. */
export const CARRIED = Buffer.from('c')

/** Nothing but signs of life: each byte comes back. */
export const LIFELINE = Buffer.from('l')
