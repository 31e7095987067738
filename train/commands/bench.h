// The parts of `noisette bench` that have a file of their own.
#pragma once

namespace CLI {
class App;
}

namespace noisette::commands {

void add_bench_ops(CLI::App* bench);
void add_bench_kernels(CLI::App* bench);

}  // namespace noisette::commands
