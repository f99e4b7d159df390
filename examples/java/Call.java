import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.stub.ClientCallStreamObserver;
import io.grpc.stub.ClientResponseObserver;
import java.util.function.Consumer;

/** A call in both directions: what comes is handed on, what goes waits until the transport has room. */
final class Call<Q, R> implements ClientResponseObserver<Q, R> {
  private final Consumer<R> taker;
  private final Runnable atEnd;
  private ClientCallStreamObserver<Q> requests;
  private boolean over;
  private boolean givenUp;
  private StatusRuntimeException refusal;

  Call(Consumer<R> taker, Runnable atEnd) {
    this.taker = taker;
    this.atEnd = atEnd;
  }

  @Override
  public synchronized void beforeStart(ClientCallStreamObserver<Q> stream) {
    requests = stream;
    stream.setOnReadyHandler(this::wake);
  }

  @Override
  public void onNext(R answer) {
    taker.accept(answer);
  }

  @Override
  public void onError(Throwable error) {
    over(Status.fromThrowable(error).asRuntimeException(Status.trailersFromThrowable(error)));
  }

  @Override
  public void onCompleted() {
    over(null);
  }

  private void over(StatusRuntimeException why) {
    synchronized (this) {
      over = true;
      refusal = why;
      notifyAll();
    }
    atEnd.run();
  }

  private synchronized void wake() {
    notifyAll();
  }

  /** Sends a message when there is room; one to a call that has ended goes nowhere. */
  synchronized void write(Q message) throws InterruptedException {
    while (!over && !givenUp && !requests.isReady()) wait();
    say(message);
  }

  /** The same at once: for messages whose number has a bound of its own. */
  synchronized void say(Q message) {
    if (!over && !givenUp) requests.onNext(message);
  }

  synchronized void end() {
    if (!over && !givenUp) requests.onCompleted();
  }

  synchronized void cancel() {
    if (!over && requests != null) requests.cancel("no longer needed", null);
    givenUp = true;
  }

  /** Waits for the end; why it was refused, if it was. */
  synchronized StatusRuntimeException await() throws InterruptedException {
    while (!over) wait();
    return refusal;
  }

  synchronized StatusRuntimeException refusal() {
    return refusal;
  }
}
