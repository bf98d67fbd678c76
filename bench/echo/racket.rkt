#lang racket/base
;; An echo server of Racket's threads: `racket racket.rkt PORT`.
(require racket/tcp)

(define port (string->number (vector-ref (current-command-line-arguments) 0)))
(define listener (tcp-listen port 1024 #t "127.0.0.1"))

(define (echo in out)
  (define buffer (make-bytes 65536))
  (let loop ()
    (define n (read-bytes-avail! buffer in))
    (unless (eof-object? n)
      (write-bytes buffer out 0 n)
      (flush-output out)
      (loop)))
  (close-input-port in)
  (close-output-port out))

(let loop ()
  (define-values (in out) (tcp-accept listener))
  (thread (lambda () (echo in out)))
  (loop))
