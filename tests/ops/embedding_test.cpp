#include "framework/ops/embedding.h"

#include "framework/ops/elementwise.h"
#include "tests/support/gradcheck.h"

namespace noisette {
namespace {

using testing_support::GradCase;
using testing_support::message_of;
using testing_support::values_of;

Tensor index_of(const Tensor& like, std::vector<int64_t> values, const Shape& shape) {
  return from_vector(values, shape, like.device());
}

NOISETTE_OP_TESTS(EmbeddingOps,
                  GradCase{"rows",
                           {{5, 7}},
                           [](auto in) {
                             return embedding(in[0], index_of(in[0], {4, 0, 4, 2}, {4}));
                           }},
                  GradCase{"matrix_of_rows",
                           {{3, 70}},
                           [](auto in) {
                             return embedding(in[0], index_of(in[0], {1, 1, 1, 0}, {2, 2}));
                           }},
                  GradCase{"no_rows", {{3, 2}}, [](auto in) {
                             return embedding(in[0], index_of(in[0], {}, {0}));
                           }});

TEST(Embedding, ARowThatIsNotThereIsNan) {
  Tensor table = zeros({3, 2}, DType::f32);
  table.requires_grad();
  const Tensor y = embedding(table, from_vector<int64_t>({3, -1, 1}, {3}));
  for (const int i : {0, 1, 2, 3}) EXPECT_TRUE(std::isnan(values_of(y)[size_t(i)]));
  backward(y, full({3, 2}, 1, DType::f32));
  EXPECT_EQ(values_of(table.grad()), (std::vector<double>{0, 0, 1, 1, 0, 0}));
}

TEST(Embedding, GradientsOfTwoLookUpsAddUp) {
  Tensor table = zeros({3, 2}, DType::bf16);
  table.requires_grad();
  const Tensor index = from_vector<int64_t>({1}, {1});
  backward(add(embedding(table, index), embedding(table, index)), full({1, 2}, 1, DType::bf16));
  EXPECT_EQ(table.grad().dtype(), DType::f32);
  EXPECT_EQ(values_of(table.grad()), (std::vector<double>{0, 0, 2, 2, 0, 0}));
}

TEST(TimestepEmbedding, FollowsBothConventions) {
  const Tensor t = from_vector<int64_t>({0, 7}, {2});
  // Ho et al.: sines first, frequencies 10000^(-i / (half - 1)).
  auto y = values_of(timestep_embedding(t, 7, DType::f64));
  EXPECT_EQ(std::vector<double>(y.begin(), y.begin() + 7),
            (std::vector<double>{0, 0, 0, 1, 1, 1, 0}));
  for (const int i : {0, 1, 2}) {
    const double angle = 7 * std::pow(10000.0, -i / 2.0);
    EXPECT_NEAR(y[size_t(7 + i)], std::sin(angle), 1e-14);
    EXPECT_NEAR(y[size_t(10 + i)], std::cos(angle), 1e-14);
  }
  // Stable Diffusion: cosines first, frequencies 10000^(-i / half); floating time.
  y = values_of(timestep_embedding(from_vector<float>({2.5f}, {1}), 6, DType::f32,
                                   {.flip_sin_to_cos = true, .freq_shift = 0}));
  for (const int i : {0, 1, 2}) {
    const double angle = 2.5 * std::pow(10000.0, -i / 3.0);
    EXPECT_EQ(y[size_t(i)], double(float(std::cos(angle))));
    EXPECT_EQ(y[size_t(3 + i)], double(float(std::sin(angle))));
  }
}

TEST(TimestepEmbedding, ErrorsNameBothSides) {
  const Tensor t = zeros({2}, DType::f32);
  EXPECT_NE(message_of([&] { timestep_embedding(t, 2, DType::f32); }).find("dim 2"),
            std::string::npos);
  EXPECT_NE(
      message_of([&] { timestep_embedding(zeros({2}, DType::u8), 8, DType::f32); }).find("u8"),
      std::string::npos);
  EXPECT_NE(message_of([&] {
              embedding(zeros({2, 2}, DType::f32), t);
            }).find("f32"),
            std::string::npos);
}

}  // namespace
}  // namespace noisette
