import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")

from training import losses


def unit(*rows):
    return torch.nn.functional.normalize(torch.tensor(rows, dtype=torch.float32))


def test_embedding_distance_is_zero_for_equal_and_two_for_opposite_embeddings():
    a = unit([1, 0], [0, 1])
    assert losses.embedding_distance(a, a).item() == 0
    assert losses.embedding_distance(a, -a).item() == 2


def test_similarity_distance_ignores_a_common_rotation():
    a = unit([1, 0], [1, 1])
    quarter_turn = torch.tensor([[0.0, 1.0], [-1.0, 0.0]])
    assert losses.similarity_distance(a @ quarter_turn, a).item() < 1e-12
    assert losses.similarity_distance(unit([1, 0], [0, 1]), a).item() > 0.1


def test_triplet_is_zero_when_people_are_apart_and_large_when_mixed_up():
    embeddings = unit([1, 0], [1, 0], [-1, 0], [-1, 0])
    apart, mixed = torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 0, 1])
    assert losses.batch_hard_triplet(embeddings, apart).item() == 0
    assert losses.batch_hard_triplet(embeddings, mixed).item() > 2


def test_classifier_prefers_the_right_identity():
    classifier = losses.CosineClassifier(2, 2)
    with torch.no_grad():
        classifier.weight.copy_(unit([1, 0], [0, 1]))
    embeddings = unit([1, 0], [0, 1])
    right, all_right = classifier(embeddings, torch.tensor([0, 1]))
    wrong, none_right = classifier(embeddings, torch.tensor([1, 0]))
    assert right.item() < wrong.item() - 10
    assert (all_right.item(), none_right.item()) == (1, 0)


def test_heads_stand_only_between_spaces_of_different_widths():
    assert not list(losses.teacher_heads(512, 2, 256).parameters())
    heads = losses.teacher_heads(12, 2, 8)
    found = heads(torch.nn.functional.normalize(torch.randn(5, 12)))
    assert found.shape == (5, 16)
    torch.testing.assert_close(found.view(5, 2, 8).norm(dim=2), torch.full((5, 2), 0.5**0.5))
