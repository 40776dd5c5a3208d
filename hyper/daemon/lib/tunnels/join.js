/*
 * Two byte streams, each of which becomes the other's continuation: as fast as the slower one takes it, and
 * each way may end before the other. What is cut on one side is cut on the other, so that half of something
 * is never taken for all of it.
 */

/** `stream` is a node's, `socket` a program's. */
export function join (stream, socket) {
  const one = watch(stream)
  const other = watch(socket)
  pump(stream, socket)
  pump(socket, stream)
  stream.once('close', () => { if (!one.isDone()) cut(socket) })
  socket.once('close', () => { if (!other.isDone()) stream.destroy() })
}

/** Ends a socket so that its program does not take it for a regular end, where the socket can say so. */
export function cut (socket) {
  if (socket.remotePort) socket.resetAndDestroy()
  else socket.destroy()
}

function watch (stream) {
  let hasEnded = false
  let hasFinished = false
  stream.on('error', () => {})
  stream.once('end', () => { hasEnded = true })
  stream.once('finish', () => { hasFinished = true })
  return { isDone: () => hasEnded && hasFinished }
}

function pump (from, to) {
  from.on('data', chunk => { if (!to.write(chunk)) from.pause() })
  to.on('drain', () => from.resume())
  from.once('end', () => to.end())
  // It may have been held until there was somebody to take it.
  from.resume()
}
