;; Reads programs, one a line, and answers each with a line: "V" and the value of the last form printed, "E" and the
;; class of error, or "T" when it takes too long.  One JVM for all of them; each is evaluated on a thread of its own,
;; and one that defines something in a namespace of its own, which is printed as `user`.

(require '[clojure.string :as string] '[clojure.set :as set] '[clojure.walk :as walk] '[clojure.edn :as edn])

;; Of the thread's own time, so that it is the same on a busy machine; and seconds that may pass at most.
(def timeout-ms 2000)
(def most-seconds 30)
(def threads (java.lang.management.ManagementFactory/getThreadMXBean))

(defn root [^Throwable e]
  (if (and (instance? clojure.lang.Compiler$CompilerException e) (.getCause e)) (recur (.getCause e)) e))

(defn one-line [text]
  (-> text (string/replace "\\" "\\\\") (string/replace "\n" "\\n") (string/replace "\r" "\\r")))

(def number (atom 0))

(defn defines? [line] (or (string/includes? line "(def") (string/includes? line "derive")))

(defn own-namespace []
  (let [space (create-ns (symbol (str "space" (swap! number inc))))]
    (binding [*ns* space]
      (refer 'clojure.core)
      (doseq [[alias-name full] '[[string clojure.string] [set clojure.set] [walk clojure.walk] [edn clojure.edn]]]
        (alias alias-name full)))
    space))

(defn last-value [line]
  (let [source (java.io.PushbackReader. (java.io.StringReader. line))]
    (loop [value nil]
      (let [form (read {:eof ::end} source)]
        (if (= form ::end) value (recur (eval form)))))))

(defn evaluated [line]
  (let [printed (java.io.StringWriter.)]
    (binding [*print-length* 200 *print-level* 60 *out* printed]
      (let [value (pr-str (last-value line))
            out (string/trim-newline (str printed))]
        (str "V" value (when (seq out) (str " ;prints: " out)))))))

(defn answer [line]
  (let [own (when (defines? line) (own-namespace))]
    (try
      (let [found (binding [*ns* (or own (the-ns 'user))] (evaluated line))]
        (if own (string/replace found (str (ns-name own)) "user") found))
      (catch Throwable e
        (let [e (root e)]
          (str "E" (.getSimpleName (class e)) " " (.getMessage e))))
      (finally
        (when own
          (remove-ns (ns-name own))
          (alter-var-root #'clojure.core/global-hierarchy (constantly (make-hierarchy))))))))

(defn answer-in-time [line]
  (let [result (promise)
        thread (Thread. nil (fn [] (deliver result (answer line))) "evaluation" (* 64 1024 1024))]
    (.start thread)
    (loop [looks 0]
      (or (deref result 200 nil)
          (if (or (> (.getThreadCpuTime threads (.getId thread)) (* 1000000 timeout-ms)) (> looks (* 5 most-seconds)))
            (do (.stop thread) "T")
            (recur (inc looks)))))))

(let [out *out*]
  (loop []
    (when-let [line (read-line)]
      (.write out (one-line (answer-in-time line)))
      (.write out "\n")
      (.flush out)
      (recur)))
  (System/exit 0))
