"""What an image holds: ``read`` reads its layers from one stream, ``merged`` lays them on each
other, ``owners`` says whose each file is, ``depends`` what a package needs.
"""
