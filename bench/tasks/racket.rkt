#lang racket/base
;; The scheduler's workloads in Racket: `racket racket.rkt WORKLOAD N [K]`.
(require racket/async-channel racket/string)

(define args (current-command-line-arguments))
(define name (vector-ref args 0))
(define N (string->number (vector-ref args 1)))
(define K (if (> (vector-length args) 2) (string->number (vector-ref args 2)) 0))

(define now current-inexact-milliseconds)
(define cpu current-process-milliseconds)

(define (out metric value)
  (printf "~a ~a\n" metric (exact->inexact value))
  (flush-output))

(define (rss)
  (define statm (call-with-input-file "/proc/self/statm" read-line))
  (* 4096 (string->number (cadr (string-split statm)))))

;; Park and Miller's sequence, the same in every language.
(define state 42)
(define (random-below n)
  (set! state (remainder (* state 16807) 2147483647))
  (remainder state n))

(define-syntax-rule (times n body ...)
  (let loop ([i 0])
    (when (< i n)
      body ...
      (loop (add1 i)))))

(define (join threads) (for-each thread-wait threads))

(define (measure f)
  (define cpu-start (cpu))
  (define start (now))
  (f)
  (out 'wall_ns (/ (* 1e6 (- (now) start)) N))
  (out 'cpu_ns (/ (* 1e6 (- (cpu) cpu-start)) N)))

(define (spawn) (join (for/list ([i N]) (thread void))))

(define (groups)
  (times (quotient N 100) (join (for/list ([i 100]) (thread void)))))

(define (pingpong)
  (define ping (make-channel))
  (define pong (make-channel))
  (thread (lambda () (times N (channel-put pong (channel-get ping)))))
  (times N (channel-put ping 1) (channel-get pong)))

(define (yield)
  (join (for/list ([i K])
          (thread (lambda () (times (quotient N K) (sleep 0)))))))

(define (channel)
  (define c (make-async-channel 128))
  (thread (lambda () (times N (async-channel-put c 1))))
  (times N (async-channel-get c)))

(define (producers)
  (define c (make-async-channel 128))
  (times 64 (thread (lambda () (times (quotient N 64) (async-channel-put c 1)))))
  (times N (async-channel-get c)))

(define (daisy)
  (define first (make-channel))
  (define last
    (for/fold ([left first]) ([i N])
      (define right (make-channel))
      (thread (lambda () (channel-put left (add1 (channel-get right)))))
      right))
  (thread (lambda () (channel-put last 0)))
  (channel-get first))

(define (select)
  (define channels (for/vector ([i K]) (make-channel)))
  (define arms (vector->list channels))
  (thread (lambda ()
            (times N (channel-put (vector-ref channels (random-below K)) 1))))
  (times N (apply sync arms)))

(define (pool)
  (define (start)
    (define steps (add1 (random-below 16)))
    (thread (lambda () (times steps (sleep 0)))))
  (let loop ([running (for/list ([i 128]) (start))] [ended 1])
    (define rest (remq (apply sync running) running))
    (when (< ended N)
      (loop (if (<= ended (- N 128)) (cons (start) rest) rest) (add1 ended)))))

(define (timeout)
  (define s (make-semaphore 0))
  (times N (semaphore-post s) (sync/timeout 10 s)))

(define (timers)
  (define start (cpu))
  (join (for/list ([i N])
          (define seconds (/ (random-below 1000) 1000.0))
          (thread (lambda () (sleep seconds)))))
  (out 'cpu_ns (/ (* 1e6 (- (cpu) start)) N)))

(define (sleepers)
  (collect-garbage)
  (define before (rss))
  (define cpu-start (cpu))
  (define start (now))
  (define asleep 0)
  (define threads
    (for/list ([i N])
      (define due (+ start (* 1000 K) (* 1000.0 (/ (remainder (* i 7919) N) N))))
      (thread (lambda ()
                (set! asleep (add1 asleep))
                (sleep (max 0 (/ (- due (now)) 1000)))))))
  (let loop () (when (< asleep N) (sleep 0) (loop)))
  (out 'create_s (/ (- (now) start) 1000))
  (out 'rss (rss))
  (out 'bytes (/ (- (rss) before) N))
  (join threads)
  (out 'cpu_ns (/ (* 1e6 (- (cpu) cpu-start)) N)))

(case name
  [("hello") (displayln "hello")]
  [("idle") (out 'rss (rss))]
  [("timers") (timers)]
  [("sleepers") (sleepers)]
  [else
   (measure (case name
              [("spawn") spawn]
              [("groups") groups]
              [("pingpong") pingpong]
              [("yield") yield]
              [("channel") channel]
              [("producers") producers]
              [("daisy") daisy]
              [("select") select]
              [("pool") pool]
              [("timeout") timeout]))])
