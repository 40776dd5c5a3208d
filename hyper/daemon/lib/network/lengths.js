/*
 * Telling peers how long our logs are, once more.
 *
 * The library asks a peer for what it has beyond our end only after the peer said that it knows where our end
 * is. It tells of our end when that moves, but forgets to when the peer's moves at the same moment, as is usual
 * where two nodes get the same from a third. While the third is there, nobody notices; when it is gone, the two
 * wait for each other for ever (hypercore 11.37 to 11.39, Peer._updateCanUpgradeAndSync).
 */

/** Of all logs that are open in a corestore. */
export function tellLengths (store) {
  for (const core of store.cores) {
    if (core.replicator && core.state) tellLength(core)
  }
}

function tellLength ({ state, replicator }) {
  for (const peer of replicator.peers) {
    const isAhead = peer.remoteFork === state.fork && peer.remoteLength > state.length
    if (isAhead && peer.remoteSynced && peer.lengthAcked !== state.length) peer.sendSync()
  }
}
