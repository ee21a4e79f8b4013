;; Reads expressions, one a line, and answers each with a line: "V" and the value printed, "E" and the class of error,
;; or "T" when it takes too long. One JVM for all of them; each is evaluated on a thread of its own.

(require '[clojure.string :as string] '[clojure.set :as set] '[clojure.walk :as walk] '[clojure.edn :as edn])

(def timeout-ms 2000)

(defn root [^Throwable e]
  (if (and (instance? clojure.lang.Compiler$CompilerException e) (.getCause e)) (recur (.getCause e)) e))

(defn one-line [text]
  (-> text (string/replace "\\" "\\\\") (string/replace "\n" "\\n") (string/replace "\r" "\\r")))

(defn answer [line]
  (try
    (binding [*ns* (the-ns 'user) *print-length* 200 *print-level* 60 *out* (java.io.StringWriter.)]
      (str "V" (pr-str (eval (read-string line)))))
    (catch Throwable e
      (let [e (root e)]
        (str "E" (.getSimpleName (class e)) " " (.getMessage e))))))

(defn answer-in-time [line]
  (let [result (promise)
        thread (Thread. nil (fn [] (deliver result (answer line))) "evaluation" (* 64 1024 1024))]
    (.start thread)
    (let [found (deref result timeout-ms nil)]
      (when (nil? found) (.stop thread))
      (or found "T"))))

(let [out *out*]
  (loop []
    (when-let [line (read-line)]
      (.write out (one-line (answer-in-time line)))
      (.write out "\n")
      (.flush out)
      (recur)))
  (System/exit 0))
