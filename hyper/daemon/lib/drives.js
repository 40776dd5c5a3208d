/*
 * Folders as versions of drives: written in a moment.
 */
import { HyperError } from './errors.js'

export class Drives {
  put () {
    throw new HyperError('INTERNAL', 'drives are not there yet')
  }

  get () {
    throw new HyperError('INTERNAL', 'drives are not there yet')
  }
}
