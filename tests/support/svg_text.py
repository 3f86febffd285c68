"""Text of SVG figures."""

from xml.etree import ElementTree


def texts(path):
    """Return the texts of a figure: matplotlib draws letters as paths, with the text in comments."""
    root = ElementTree.parse(path, ElementTree.XMLParser(target=ElementTree.TreeBuilder(insert_comments=True)))
    return {node.text.strip() for node in root.iter() if node.tag is ElementTree.Comment}
