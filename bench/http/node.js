// Answers every request with six bytes.
require('http').createServer((request, response) => {
  response.writeHead(200, {
    'Content-Type': 'text/plain', 'Content-Length': 6,
  })
  response.end('hello\n')
}).listen(+process.argv[2], '127.0.0.1')
