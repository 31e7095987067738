#include "kernels/cuda/transfer.h"

#include "kernels/cuda/stream.h"

namespace noisette::cuda {
namespace {

cudaStream_t stream_of(Queue queue) { return queue == Queue::copy ? copy_stream() : stream(); }

}  // namespace

Pinned::Pinned(std::size_t bytes) : bytes_(bytes) {
  void* data = nullptr;
  if (bytes > 0) check(cudaMallocHost(&data, bytes), "pinned memory");
  data_ = static_cast<std::byte*>(data);
}
Pinned::~Pinned() {
  if (data_ != nullptr) (void)cudaFreeHost(data_);
}

struct Event::State {
  cudaEvent_t event = nullptr;
};

Event::Event() : state_(std::make_unique<State>()) {}
Event::~Event() {
  if (state_->event != nullptr) (void)cudaEventDestroy(state_->event);
}

void Event::record(Queue queue) {
  if (state_->event == nullptr)
    check(cudaEventCreateWithFlags(&state_->event, cudaEventDisableTiming), "event");
  check(cudaEventRecord(state_->event, stream_of(queue)), "event");
}
void Event::hold(Queue queue) const {
  if (state_->event != nullptr)
    check(cudaStreamWaitEvent(stream_of(queue), state_->event, 0), "event");
}
void Event::wait() const {
  if (state_->event != nullptr) check(cudaEventSynchronize(state_->event), "event");
}

void upload(Queue queue, void* to, const Pinned& from, std::size_t bytes) {
  if (bytes > 0)
    check(cudaMemcpyAsync(to, from.data(), bytes, cudaMemcpyHostToDevice, stream_of(queue)),
          "upload");
}

void download(Queue queue, Pinned& to, std::size_t offset, const void* from, std::size_t bytes) {
  if (bytes > 0)
    check(
        cudaMemcpyAsync(to.data() + offset, from, bytes, cudaMemcpyDeviceToHost, stream_of(queue)),
        "download");
}

}  // namespace noisette::cuda
