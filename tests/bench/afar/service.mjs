/* What is asked: `/` answers with a word, `/N` with N bytes. */
import http from 'node:http'

const CHUNK = Buffer.alloc(65536)

http.createServer((request, answer) => {
  let left = Number(request.url.slice(1)) || 0
  if (!left) return answer.end('hello')
  answer.setHeader('content-length', left)
  const more = () => {
    while (left > 0) {
      const size = Math.min(left, CHUNK.length)
      left -= size
      if (!answer.write(CHUNK.subarray(0, size))) return answer.once('drain', more)
    }
    answer.end()
  }
  more()
}).listen(process.env.PORT, '127.0.0.1')
