import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * The Java driver of the client matrix: the same cases with whatever version of kafka-clients is on the class path. Prints TAP.
 *
 *   java Matrix [CASE...]
 *
 * COMPAT_PATIENCE multiplies all time limits, for machines that have other work.
 */
public final class Matrix {
    private static final int CASE_SECONDS = 60 * Check.PATIENCE;

    interface Case {
        void run(Lab lab) throws Exception;
    }

    private final Map<String, Case> cases = new LinkedHashMap<>();
    private int failures;

    private Matrix() {
        RecordCases.addTo(cases);
        OffsetCases.addTo(cases);
        GroupCases.addTo(cases);
        AdminCases.addTo(cases);
        TutorialCases.addTo(cases);
        DeliveryCases.addTo(cases);
        KillCases.addTo(cases);
    }

    public static void main(String[] arguments) {
        Matrix matrix = new Matrix();
        Stream<String> names = arguments.length > 0 ? Stream.of(arguments) : matrix.cases.keySet().stream();
        names.collect(Collectors.toList()).forEach(matrix::run);
        System.exit(matrix.failures == 0 ? 0 : 1); // a case that hangs has left its thread behind
    }

    private void run(String name) {
        Lab lab = new Lab();
        FutureTask<Void> task = new FutureTask<>(() -> {
            cases.get(name).run(lab);
            return null;
        });
        Thread thread = new Thread(task, name);
        thread.setDaemon(true);
        thread.start();
        try {
            task.get(CASE_SECONDS, TimeUnit.SECONDS);
            System.out.println("ok - " + name + (lab.note.isEmpty() ? "" : ": " + onOneLine(lab.note)));
        } catch (TimeoutException e) {
            notOk(name, "not done after " + CASE_SECONDS + " s, it is " + whereabouts(thread));
            thread.interrupt();
        } catch (ExecutionException e) {
            tell(name, e.getCause());
        } catch (InterruptedException e) {
            throw new IllegalStateException(e);
        }
    }

    private void tell(String name, Throwable cause) {
        if (cause instanceof Check.Skip) {
            System.out.println("ok - " + name + " # SKIP " + cause.getMessage());
            return;
        }
        notOk(name, cause instanceof Check.Failure ? cause.getMessage() : String.valueOf(cause));
        cause.printStackTrace();
    }

    private void notOk(String name, String reason) {
        System.out.println("not ok - " + name + ": " + onOneLine(reason));
        failures++;
    }

    private static String onOneLine(String text) { return text.replace('#', ' ').replaceAll("\\s+", " "); }

    private static String whereabouts(Thread thread) {
        return Stream.of(thread.getStackTrace()).limit(8).map(StackTraceElement::toString).collect(Collectors.joining(" < "));
    }
}
