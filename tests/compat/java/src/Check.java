import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;

/** What a case says of what it saw. */
final class Check {
    static final class Failure extends RuntimeException {
        private static final long serialVersionUID = 1;
        Failure(String reason) { super(reason); }
    }

    /** The library cannot do this. */
    static final class Skip extends RuntimeException {
        private static final long serialVersionUID = 1;
        Skip(String reason) { super(reason); }
    }

    interface Condition {
        boolean holds() throws Exception;
    }

    interface Action {
        void run() throws Exception;
    }

    static final int PATIENCE = Integer.parseInt(System.getenv().getOrDefault("COMPAT_PATIENCE", "1"));

    private Check() {}

    static void that(boolean good, String otherwise) {
        if (!good) throw new Failure(otherwise);
    }

    static void same(String what, Object expected, Object actual) {
        that(expected == null ? actual == null : expected.equals(actual), what + ": expected " + expected + ", found " + actual);
    }

    static void await(String what, int seconds, Condition condition) {
        long deadline = System.nanoTime() + seconds * PATIENCE * 1_000_000_000L;
        try {
            while (!condition.holds()) {
                that(System.nanoTime() < deadline, what + " did not come within " + seconds + " s");
                Thread.sleep(20);
            }
        } catch (RuntimeException e) {
            throw e;
        } catch (Exception e) {
            throw new Failure("while waiting for " + what + ": " + e);
        }
    }

    /** The action fails with this exception, alone or as the cause of an ExecutionException; returns it. */
    static Throwable fails(String what, Class<? extends Throwable> expected, Action action) {
        try {
            action.run();
        } catch (Throwable e) {
            Throwable cause = e instanceof ExecutionException ? e.getCause() : e;
            that(expected.isInstance(cause), what + ": expected " + expected.getSimpleName() + ", found " + cause);
            return cause;
        }
        throw new Failure(what + ": expected " + expected.getSimpleName() + ", but it worked");
    }

    static Throwable fails(String what, Class<? extends Throwable> expected, Future<?> future) {
        return fails(what, expected, () -> future.get());
    }
}
